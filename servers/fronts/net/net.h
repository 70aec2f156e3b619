/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's network card, whatever device is below. */
#ifndef NET_H
#define NET_H

#include "../lib/forward.h"
#include <base/lib.h>

extern const struct l4_forward_class net_class;

#endif
