/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's disk, whatever device is below. */
#ifndef BLOCK_H
#define BLOCK_H

#include "../lib/front.h"
#include <base/lib.h>

extern const struct front_class block_class;

#endif
