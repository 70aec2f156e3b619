/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's network card, whatever device is below. */
#ifndef NET_H
#define NET_H

#include "../lib/front.h"
#include <base/lib.h>

extern const struct front_class net_class;

#endif
