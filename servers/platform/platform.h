/* SPDX-License-Identifier: GPL-2.0-only */
/* What the root pager asks about the machine. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include "device.h"

/* Read the firmware's description of the machine. */
void platform_init(void);

/*
 * Find a device by what it is ("disk", "network card", "shared folder", "serial line") and which of these it is, in
 * the order of the bus, and make it usable for a driver, or fail().
 */
void platform_claim(struct device *device, const char *what, unsigned int instance);

/* Nanoseconds since 1970 when the CPU's counter was 0. */
u64 platform_wallclock(void);

/* Signal a Notification about once a second; platform_tick() after each. False: there is no clock. */
bool platform_tick_start(unsigned long notification);
void platform_tick(void);

#endif
