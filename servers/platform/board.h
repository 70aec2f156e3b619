/* SPDX-License-Identifier: GPL-2.0-only */
/* What a board provides beside platform.h; one file each. */
#ifndef PLATFORM_BOARD_H
#define PLATFORM_BOARD_H

#include "device.h"

#define BOARD_PCI_WINDOWS 4

/* The PCI host bridge. */
struct board_pci {
	u64 config; /* physical address of first_bus's configuration space, 1 MiB for each bus */
	unsigned int first_bus, last_bus;
	/* Where base addresses may point, `bus` as devices see it. None: firmware has assigned the base addresses. */
	unsigned int windows;
	struct board_window {
		u64 bus, paddr, bytes;
	} window[BOARD_PCI_WINDOWS];
};

/* False: the machine has no PCI. */
bool board_pci(struct board_pci *pci);

/* The interrupt line that a device of the first bus pulls by a pin (1 to 4), for those that send no messages. */
bool board_pci_line(unsigned int number, unsigned int function, unsigned int pin, u64 *line, bool *level);

/* Registers and interrupt of the serial line on which the kernel's log goes out. */
void board_serial(struct device *device);

#endif
