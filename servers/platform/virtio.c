/* SPDX-License-Identifier: GPL-2.0-only */
/* Modern virtio devices on PCI: which parts of their memory are which registers, and their reset. */
#include <l4/invoke.h>

#include <root/device_memory.h>
#include <root/report.h>
#include "pci.h"
#include "virtio.h"

#define VENDOR_VIRTIO 0x1af4

/* struct virtio_pci_cap: section 4.1.4. */
enum { CFG_TYPE = 3, CFG_BAR = 4, CFG_OFFSET = 8, CFG_LENGTH = 12, CFG_NOTIFY_MULTIPLIER = 16 };
#define BLOCK_PAGES          4 /* most pages of one of the four blocks of registers */
#define COMMON_BYTES         64
#define COMMON_DEVICE_STATUS 20
#define RESET_TRIES          1000000
/* cfg_type of the first of the four blocks, which are in the order of L4_REGISTERS_VIRTIO_... */
#define TYPE_COMMON 1
#define ALL_BLOCKS  0xfU

static void add_block(struct device *device, unsigned int cap, unsigned int type)
{
	u64 paddr = pci_bar_address(device, pci_get8(device, cap + CFG_BAR)) + pci_get32(device, cap + CFG_OFFSET);
	u64 bytes = pci_get32(device, cap + CFG_LENGTH);
	u64 most = BLOCK_PAGES * (u64)L4_PAGE_SIZE - paddr % L4_PAGE_SIZE;
	struct l4_resource block = { .kind = L4_RESOURCE_REGISTERS, .type = type, .address = paddr };

	block.size = bytes < most ? bytes : most;
	if (type == L4_REGISTERS_VIRTIO_NOTIFY)
		block.data = pci_get32(device, cap + CFG_NOTIFY_MULTIPLIER);
	if (type == L4_REGISTERS_VIRTIO_COMMON)
		device->pci.virtio_common = device_map(paddr, COMMON_BYTES, true);
	device_add(device, block);
}

/* Reset the device; it reads 0 when it has given up or done all requests (section 4.1.4.3.1). */
static void reset(struct device *device)
{
	volatile u8 *status = device->pci.virtio_common + COMMON_DEVICE_STATUS;
	unsigned int i;

	*status = 0;
	for (i = 0; *status && i < RESET_TRIES; i++)
		;
	l4_mb();
}

/* Without bus mastering the device reaches no memory, whether it obeys the reset or not. */
static void stop(struct device *device)
{
	pci_stop(device);
	reset(device);
}

void virtio_claim(struct device *device, u16 modern, u16 transitional, unsigned int instance)
{
	unsigned int cap = 0, msix = 0, limit = PCI_CAPS, found = 0, type;

	if (!pci_find(device, VENDOR_VIRTIO, modern, instance)) {
		if (pci_find(device, VENDOR_VIRTIO, transitional, 0))
			fail("%s is a transitional device, and only modern ones are driven: add disable-legacy=on",
			     device->name);
		if (instance)
			fail("the machine has no %s number %u", device->name, instance + 1);
		fail("the machine has no %s%s", device->name, pci_not_found());
	}
	while ((cap = pci_next_cap(device, cap)) && limit--) {
		type = pci_get8(device, cap + CFG_TYPE) - TYPE_COMMON;
		if (pci_get8(device, cap) == PCI_CAP_MSIX)
			msix = cap;
		if (pci_get8(device, cap) != PCI_CAP_VENDOR || type > L4_REGISTERS_VIRTIO_DEVICE ||
		    (found & 1U << type))
			continue;
		found |= 1U << type;
		add_block(device, cap, type);
	}
	if (found != ALL_BLOCKS)
		fail("%s is no modern virtio device", device->name);
	pci_add_interrupt(device, msix);
	device->start = pci_start;
	device->stop = stop;
}
