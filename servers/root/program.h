/* SPDX-License-Identifier: GPL-2.0-only */
/* The loader: programs of the boot image in address spaces. */
#ifndef ROOT_PROGRAM_H
#define ROOT_PROGRAM_H

#include "pool.h"

/* Map what the image has of a program; the rest of its segments comes on demand. */
void program_load(const char *name, struct pool *pool, unsigned long vspace);

/* Rights to the page at an address that its segments cover; 0: none does. */
unsigned long program_rights(const char *name, u64 address);

#endif
