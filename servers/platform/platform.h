/* SPDX-License-Identifier: GPL-2.0-only */
/* What a board provides; one file each. */
#ifndef PLATFORM_H
#define PLATFORM_H

#include <l4/types.h>

#define PLAT_PCI_WINDOWS 4

struct server;

struct plat_pci {
	u64 config; /* physical address of first_bus's configuration space, 1 MiB for each bus */
	unsigned int first_bus, last_bus;
	/* Where base addresses may point, `bus` as the devices see it. None: firmware has assigned them. */
	unsigned int windows;
	struct plat_window {
		u64 bus, paddr, bytes;
	} window[PLAT_PCI_WINDOWS];
};

/* Read the firmware's description of the machine. */
void plat_init(void);

/* False: no PCI. */
bool plat_pci(struct plat_pci *pci);

/* The interrupt line that a device of the first bus pulls by a pin (1 to 4), for those that send no messages. */
bool plat_pci_line(unsigned int number, unsigned int function, unsigned int pin, u64 *line, bool *level);

/* Nanoseconds since 1970 when the CPU's counter was 0. */
u64 plat_wallclock(void);

/* Give the serial line's registers and interrupt to the console. */
void plat_console(struct server *console);

/* About once a second, signal tick_notification with BADGE_TICK; plat_tick() after each. False: there is no
 * clock. */
bool plat_tick_start(void);
void plat_tick(void);

#endif
