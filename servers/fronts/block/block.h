/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's disk, whatever device is below. */
#ifndef BLOCK_H
#define BLOCK_H

#include "../lib/forward.h"
#include <base/lib.h>

extern const struct l4_forward_class block_class;

#endif
