/* SPDX-License-Identifier: GPL-2.0-only */
/* A device of the machine: what a driver of it gets, as a list of typed resources, and how it is stopped. */
#ifndef PLATFORM_DEVICE_H
#define PLATFORM_DEVICE_H

#include <l4/types.h>

#define DEVICE_RESOURCES 8

enum resource_kind {
	RESOURCE_REGISTERS = 1, /* a range of memory to map, or, with a capability, registers by system calls */
	RESOURCE_INTERRUPT = 2, /* an IrqHandler */
};

/* Which registers: of virtio PCI as in its cfg_type (virtio 1.2, section 4.1.4), or of a kind of serial line. */
enum register_block {
	REGISTERS_VIRTIO_COMMON = 1,
	REGISTERS_VIRTIO_NOTIFY = 2,
	REGISTERS_VIRTIO_ISR = 3,
	REGISTERS_VIRTIO_DEVICE = 4,
	REGISTERS_NS16550 = 16,
	REGISTERS_PL011 = 17,
};

#define RESOURCE_LINE 1 /* interrupt: a level that the driver takes back in the device, not a message or an edge */

struct resource {
	unsigned int kind, type, flags;
	unsigned long cap; /* 0: memory to map */
	u64 address, size; /* registers: physical address, or first port */
	u64 data;          /* virtio notification registers: bytes between those of two queues */
};

/* State of a device on PCI. */
struct pci_function {
	volatile u8 *config;
	volatile u8 *virtio_common; /* registers by which a virtio device is reset */
	unsigned int bus, number;   /* device << 3 | function */
	unsigned int msix;          /* place of the MSI-X capability; 0: it has a line */
	bool line;
};

struct device {
	const char *name; /* in error texts */
	unsigned int count;
	struct resource resource[DEVICE_RESOURCES];
	struct pci_function pci;
	/* Called before and after each life of its driver: only between them it may reach memory. NULL: it never does. */
	void (*start)(struct device *device);
	void (*stop)(struct device *device);
};

/* Add a resource; fields that its kind does not use are 0. */
void device_add(struct device *device, struct resource resource);

/* The first resource of a kind; NULL: it has none. */
const struct resource *device_resource(const struct device *device, unsigned int kind);

#endif
