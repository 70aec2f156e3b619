/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI: find devices by their configuration space, give drivers the registers they need. Configuration space
 * and MSI-X tables stay here: whoever writes those decides where a device may write.
 */
#include "plat/plat.h"
#include "root.h"

#define VENDOR_VIRTIO 0x1af4
#define BUS_BITS      20
#define FUNCTION_BITS 12

/* Configuration space: PCI Local Bus 3.0, chapter 6. */
enum {
	VENDOR = 0,
	DEVICE = 2,
	COMMAND = 4,
	STATUS = 6,
	HEADER_TYPE = 14,
	BAR0 = 16,
	SECONDARY_BUS = 25,
	CAPS = 52
};
#define COMMAND_MEMORY	2
#define COMMAND_MASTER	4
#define COMMAND_NO_INTX 0x400
#define STATUS_CAPS	0x10
#define MULTI_FUNCTION	0x80
#define BRIDGE		1
#define BAR_IO		1
#define BAR_TYPE_64	4

#define CAP_VENDOR    9
#define CAP_MSIX      0x11
#define MSIX_ENABLE   0x8000
#define MSIX_MASK_ALL 0x4000

/* struct virtio_pci_cap: virtio 1.2, section 4.1.4. */
enum { CFG_TYPE = 3, CFG_BAR = 4, CFG_OFFSET = 8, CFG_LENGTH = 12, CFG_NOTIFY_MULTIPLIER = 16 };
enum { TYPE_COMMON = 1, TYPE_NOTIFY = 2, TYPE_ISR = 3, TYPE_DEVICE = 4 };
#define COMMON_DEVICE_STATUS 20
#define PART_PAGES	     4 /* most pages of one of the four parts */

static u8 get8(volatile u8 *config, unsigned int at)
{
	return config[at];
}

static u16 get16(volatile u8 *config, unsigned int at)
{
	return *(volatile u16 *)(config + at);
}

static u32 get32(volatile u8 *config, unsigned int at)
{
	return *(volatile u32 *)(config + at);
}

static void set16(volatile u8 *config, unsigned int at, u16 value)
{
	*(volatile u16 *)(config + at) = value;
}

static volatile u8 *map_bus(u64 ecam, unsigned int bus)
{
	static volatile u8 *mapped[256];
	static u64 next = DEVICE_VADDR + (1UL << 30);

	if (!mapped[bus]) {
		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, device_frame(ecam, BUS_BITS), next, RW, 1),
		      "map of PCI configuration space");
		mapped[bus] = (volatile u8 *)next;
		next += 1UL << BUS_BITS;
	}
	return mapped[bus];
}

/* Configuration space of the device with this id on a bus or behind its bridges. */
static volatile u8 *find_on(unsigned int bus, u16 device_id, unsigned int depth)
{
	volatile u8 *base, *config, *found;
	unsigned int first, last, number, secondary;
	u64 ecam;

	if (!plat_pci(&ecam, &first, &last) || bus < first || bus > last || depth > 8)
		return NULL;
	base = map_bus(ecam + ((u64)(bus - first) << BUS_BITS), bus);
	for (number = 0; number < 256; number++) {
		/* Function 0 says whether there are others. */
		if (number % 8 &&
		    !(get8(base + ((number & ~7UL) << FUNCTION_BITS), HEADER_TYPE) & MULTI_FUNCTION))
			continue;
		config = base + ((u64)number << FUNCTION_BITS);
		if (get16(config, VENDOR) == 0xffff)
			continue;
		if (get16(config, VENDOR) == VENDOR_VIRTIO && get16(config, DEVICE) == device_id)
			return config;
		secondary = get8(config, SECONDARY_BUS);
		if ((get8(config, HEADER_TYPE) & 0x7f) == BRIDGE && secondary > bus) {
			found = find_on(secondary, device_id, depth + 1);
			if (found)
				return found;
		}
	}
	return NULL;
}

static u64 bar_address(volatile u8 *config, unsigned int bar, const char *name)
{
	u32 low;
	u64 address;

	if (bar > 5)
		fail("%s has no BAR %u", name, bar);
	low = get32(config, BAR0 + 4 * bar);
	address = low & ~0xfUL;
	if ((low & BAR_TYPE_64) && bar < 5)
		address |= (u64)get32(config, BAR0 + 4 * bar + 4) << 32;
	if ((low & BAR_IO) || !address)
		fail("firmware has given %s no memory for BAR %u", name, bar);
	return address;
}

/* Add a part of the registers; returns its offset as the driver sees it. */
static u64 add_part(struct pci_device *device, unsigned int cap, const char *name)
{
	volatile u8 *config = device->config;
	u64 start = bar_address(config, get8(config, cap + CFG_BAR), name) + get32(config, cap + CFG_OFFSET);
	u64 end = start + get32(config, cap + CFG_LENGTH), page = start & ~(L4_PAGE_SIZE - 1UL);
	u64 offset = device->pages * (u64)L4_PAGE_SIZE + start % L4_PAGE_SIZE;
	unsigned int i;

	for (i = 0; page < end && i < PART_PAGES; i++, page += L4_PAGE_SIZE)
		device->page[device->pages++] = page;
	return offset;
}

static void set_up_msix(struct pci_device *device, unsigned int cap, const char *name, unsigned long irq_slot)
{
	volatile u8 *config = device->config;
	u32 place = get32(config, cap + 4);
	u64 table_paddr = bar_address(config, place & 7, name) + (place & ~7U);
	u64 end = table_paddr + 16UL * ((get16(config, cap + 2) & 0x7ffU) + 1);
	unsigned long address, data;
	volatile u32 *table;
	unsigned int i;

	for (i = 0; i < device->pages; i++)
		if (device->page[i] + L4_PAGE_SIZE > table_paddr && device->page[i] < end)
			fail("%s has its MSI-X table among its registers", name);
	check(l4_control_irq_msi(L4_ROOT_SLOT_CONTROL, L4_ROOT_SLOT_CNODE, irq_slot, &address, &data),
	      "message-signalled interrupt");
	table = device_map(table_paddr, 16, true);
	table[0] = (u32)address;
	table[1] = (u32)(address >> 32);
	table[2] = (u32)data;
	table[3] = 0;
	set16(config, cap + 2, (u16)((get16(config, cap + 2) & ~MSIX_MASK_ALL) | MSIX_ENABLE));
}

void pci_bus_master(struct pci_device *device, bool on)
{
	u16 command = get16(device->config, COMMAND) | COMMAND_MEMORY | COMMAND_NO_INTX;

	set16(device->config, COMMAND, (u16)(on ? command | COMMAND_MASTER : command & ~COMMAND_MASTER));
}

void pci_stop_virtio(struct pci_device *device)
{
	/* Without bus mastering it can reach no memory, reset or not. */
	pci_bus_master(device, false);
	device->common[COMMON_DEVICE_STATUS] = 0;
}

void pci_claim_virtio(struct pci_device *device, u16 device_id, const char *name, unsigned long irq_slot)
{
	unsigned int cap, first, last, msix = 0, limit = 48, found = 0;
	volatile u8 *config;
	u64 ecam, common = 0;

	if (!plat_pci(&ecam, &first, &last))
		fail("firmware tells of no PCI configuration space");
	config = device->config = find_on(first, device_id, 0);
	if (!config)
		fail("the machine has no %s", name);
	pci_bus_master(device, false);
	if (!(get16(config, STATUS) & STATUS_CAPS))
		fail("%s has no capabilities", name);
	for (cap = get8(config, CAPS) & 0xfcU; cap && limit--; cap = get8(config, cap + 1) & 0xfcU) {
		unsigned int type = get8(config, cap + CFG_TYPE);

		if (get8(config, cap) == CAP_MSIX)
			msix = cap;
		if (get8(config, cap) != CAP_VENDOR || type < TYPE_COMMON || type > TYPE_DEVICE ||
		    (found & 1U << type))
			continue;
		found |= 1U << type;
		switch (type) {
		case TYPE_COMMON:
			device->common_offset = add_part(device, cap, name);
			common = bar_address(config, get8(config, cap + CFG_BAR), name) +
				 get32(config, cap + CFG_OFFSET);
			break;
		case TYPE_NOTIFY:
			device->notify_offset = add_part(device, cap, name);
			device->notify_multiplier = get32(config, cap + CFG_NOTIFY_MULTIPLIER);
			break;
		case TYPE_ISR:
			device->isr_offset = add_part(device, cap, name);
			break;
		default:
			device->device_offset = add_part(device, cap, name);
		}
	}
	if (found != (1U << TYPE_COMMON | 1U << TYPE_NOTIFY | 1U << TYPE_ISR | 1U << TYPE_DEVICE) || !msix)
		fail("%s is no modern virtio device with MSI-X", name);
	set_up_msix(device, msix, name, irq_slot);
	device->common = device_map(common, 64, true);
}
