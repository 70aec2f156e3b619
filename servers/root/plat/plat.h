/* SPDX-License-Identifier: GPL-2.0-only */
/* What a board provides; one file each. */
#ifndef PLAT_H
#define PLAT_H

#include <l4/types.h>

struct server;

/* Read the firmware's description of the machine. */
void plat_init(void);

/* Where PCI configuration space is: bus first_bus at paddr. False: no PCI. */
bool plat_pci(u64 *paddr, unsigned int *first_bus, unsigned int *last_bus);

/* Nanoseconds since 1970 when the CPU's counter was 0. */
u64 plat_wallclock(void);

/* Give the serial line's registers and interrupt to the console. */
void plat_console(struct server *console);

/* About once a second, signal tick_notification with BADGE_TICK; plat_tick() after each. False: there is no
 * clock. */
bool plat_tick_start(void);
void plat_tick(void);

#endif
