/* SPDX-License-Identifier: GPL-2.0-only */
/* PCI functions: found, given base addresses, their interrupts routed. For what drives devices on PCI. */
#ifndef PLATFORM_PCI_H
#define PLATFORM_PCI_H

#include "device.h"

/* Registers of configuration space: PCI Local Bus 3.0, chapter 6. */
static inline u8 pci_get8(const struct device *device, unsigned int at) { return device->pci.config[at]; }

static inline u16 pci_get16(const struct device *device, unsigned int at)
{
	return *(volatile u16 *)(device->pci.config + at);
}

static inline u32 pci_get32(const struct device *device, unsigned int at)
{
	return *(volatile u32 *)(device->pci.config + at);
}

/*
 * Find the function with this vendor and device id that comes after `instance` others of the same, assign its base
 * addresses where no firmware did, and keep it from memory. False: the machine has none.
 */
bool pci_find(struct device *device, u16 vendor, u16 device_id, unsigned int instance);

/* Why pci_find() may have found nothing, as the end of a sentence; empty: no reason is known. */
const char *pci_not_found(void);

/* The capability after `cap`, of the first one with cap 0; 0: there are no more. At most PCI_CAPS are there. */
unsigned int pci_next_cap(const struct device *device, unsigned int cap);
#define PCI_CAPS       48
#define PCI_CAP_VENDOR 9
#define PCI_CAP_MSIX   0x11

/* Physical address that a BAR gives. */
u64 pci_bar_address(const struct device *device, unsigned int bar);

/* Add an interrupt to the resources: a message where the device and the machine have them, else a line. */
void pci_add_interrupt(struct device *device, unsigned int msix_cap);

/* Let the device reach memory and interrupt; keep it from both. */
void pci_start(struct device *device);
void pci_stop(struct device *device);

#endif
