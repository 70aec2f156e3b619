/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A device of the machine: what a driver of it gets, as a list of typed resources, and how it is stopped. A slot is one
 * of the root pager's; registers without one are physical memory, to be mapped.
 */
#ifndef PLATFORM_DEVICE_H
#define PLATFORM_DEVICE_H

#include <abi_servers.h>
#include <l4/types.h>

#define DEVICE_RESOURCES 8

/* State of a device on PCI. */
struct pci_function {
	volatile u8 *config;
	volatile u8 *virtio_common; /* registers by which a virtio device is reset */
	unsigned int bus, number;   /* device << 3 | function */
	unsigned int msix;          /* place of the MSI-X capability; 0: it has a line */
	volatile u32 *messages;     /* its MSI-X table */
	bool line;
};

struct device {
	const char *name; /* in error texts */
	unsigned int count;
	struct l4_resource resource[DEVICE_RESOURCES];
	struct pci_function pci;
	/*
	 * Called before and after each life of its driver: only between them it may reach memory. NULL: it never does;
	 * or, of stop, it runs on, and reaches what the last life named: DMA memory and the guest's, which stay.
	 */
	void (*start)(struct device *device);
	void (*stop)(struct device *device);
};

/* Add a resource; fields that its kind does not use are 0. */
void device_add(struct device *device, struct l4_resource resource);

/* The first resource of a kind; NULL: it has none. */
const struct l4_resource *device_resource(const struct device *device, unsigned int kind);

/*
 * Have its interrupt go to a CPU of the machine, between two lives of its driver or in the midst of one. False: it goes
 * where it went, since the interrupt controller does not reach that CPU.
 */
bool device_route(const struct device *device, unsigned long cpu);

#endif
