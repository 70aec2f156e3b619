/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI: find devices by their configuration space, give drivers the registers they need. Configuration space
 * and MSI-X tables stay here: whoever writes those decides where a device may write.
 *
 * Where no firmware has assigned base addresses, those of the devices that are used are assigned here; bridges are
 * then closed, and what is behind them is not found.
 */
#include "platform.h"
#include "../root/root.h"

#define VENDOR_VIRTIO 0x1af4
#define TRANSITIONAL  0x41 /* so much less are the ids of transitional disks and network cards: virtio 1.2, 4.1.2.1 */
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
	CAPS = 52,
	INTERRUPT_PIN = 61
};
#define COMMAND_MEMORY  2
#define COMMAND_MASTER  4
#define COMMAND_NO_INTX 0x400
#define STATUS_CAPS     0x10
#define MULTI_FUNCTION  0x80
#define BRIDGE          1
#define BAR_IO          1
#define BAR_TYPE_64     4
#define BAR_FLAGS       0xfU
#define BARS            6

#define CAP_VENDOR    9
#define CAP_MSIX      0x11
#define MSIX_ENABLE   0x8000
#define MSIX_MASK_ALL 0x4000

/* struct virtio_pci_cap: virtio 1.2, section 4.1.4. */
enum { CFG_TYPE = 3, CFG_BAR = 4, CFG_OFFSET = 8, CFG_LENGTH = 12, CFG_NOTIFY_MULTIPLIER = 16 };
enum { TYPE_COMMON = 1, TYPE_NOTIFY = 2, TYPE_ISR = 3, TYPE_DEVICE = 4 };
#define COMMON_DEVICE_STATUS 20
#define PART_PAGES           4 /* most pages of one of the four parts */
#define RESET_TRIES          1000000

#define MSIX_ENTRY_WORDS 4
#define MSIX_MASKED      1

static struct plat_pci host;
static u64 window_used[PLAT_PCI_WINDOWS];
static bool closed_bridge;

static u8 get8(volatile u8 *config, unsigned int at) { return config[at]; }

static u16 get16(volatile u8 *config, unsigned int at) { return *(volatile u16 *)(config + at); }

static u32 get32(volatile u8 *config, unsigned int at) { return *(volatile u32 *)(config + at); }

static void set16(volatile u8 *config, unsigned int at, u16 value) { *(volatile u16 *)(config + at) = value; }

static void set32(volatile u8 *config, unsigned int at, u32 value) { *(volatile u32 *)(config + at) = value; }

static volatile u8 *map_bus(unsigned int bus)
{
	static volatile u8 *mapped[256];
	static u64 next = DEVICE_VADDR + (1UL << 30);

	if (!mapped[bus]) {
		u64 paddr = host.config + ((u64)(bus - host.first_bus) << BUS_BITS);

		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, device_frame(paddr, BUS_BITS), next, RW, 1),
		      "map of PCI configuration space");
		mapped[bus] = (volatile u8 *)next;
		next += 1UL << BUS_BITS;
	}
	return mapped[bus];
}

/* The device with this id on a bus or behind its bridges. */
static bool find_on(unsigned int bus, u16 device_id, unsigned int depth, struct pci_device *device)
{
	volatile u8 *base, *config;
	unsigned int number, secondary;

	if (bus < host.first_bus || bus > host.last_bus || depth > 8)
		return false;
	base = map_bus(bus);
	for (number = 0; number < 256; number++) {
		/* Function 0 says whether there are others. */
		if (number % 8 && !(get8(base + ((number & ~7UL) << FUNCTION_BITS), HEADER_TYPE) & MULTI_FUNCTION))
			continue;
		config = base + ((u64)number << FUNCTION_BITS);
		if (get16(config, VENDOR) == 0xffff)
			continue;
		if (get16(config, VENDOR) == VENDOR_VIRTIO && get16(config, DEVICE) == device_id) {
			device->config = config;
			device->bus = bus;
			device->number = number;
			return true;
		}
		if ((get8(config, HEADER_TYPE) & 0x7f) != BRIDGE)
			continue;
		secondary = get8(config, SECONDARY_BUS);
		closed_bridge |= !secondary;
		if (secondary > bus && find_on(secondary, device_id, depth + 1, device))
			return true;
	}
	return false;
}

/* A free place as devices see it, never in a page with another; addresses below 4 GiB unless it is wide. */
static u64 place_bar(u64 size, bool wide, const char *name, unsigned int bar)
{
	unsigned int i;

	if (size < L4_PAGE_SIZE)
		size = L4_PAGE_SIZE;
	for (i = 0; i < host.windows && !(size & (size - 1)); i++) {
		const struct plat_window *window = &host.window[i];
		u64 start = (window->bus + window_used[i] + size - 1) & ~(size - 1), end;

		if (!start) /* means that there is none */
			start = size;
		end = start + size;
		if (end < start || end > window->bus + window->bytes || (!wide && end > 1UL << 32))
			continue;
		window_used[i] = end - window->bus;
		return start;
	}
	fail("%s: no place for the %lu bytes of BAR %u", name, size, bar);
}

/* A BAR's size is told by which of its bits can be set (section 6.2.5.1). */
static void assign_bars(volatile u8 *config, const char *name)
{
	unsigned int bar;

	set16(config, COMMAND, 0);
	for (bar = 0; bar < BARS; bar++) {
		unsigned int at = BAR0 + 4 * bar;
		u64 mask, address;
		bool wide;
		u32 low;

		set32(config, at, ~0U);
		low = get32(config, at);
		wide = (low & (BAR_TYPE_64 | BAR_IO)) == BAR_TYPE_64 && bar + 1 < BARS;
		mask = ~0UL << 32 | (low & ~BAR_FLAGS);
		if (wide) {
			set32(config, at + 4, ~0U);
			mask = (u64)get32(config, at + 4) << 32 | (low & ~BAR_FLAGS);
		}
		address = !low || (low & BAR_IO) ? 0 : place_bar(-mask, wide, name, bar);
		set32(config, at, (u32)address);
		if (wide) {
			set32(config, at + 4, (u32)(address >> 32));
			bar++;
		}
	}
}

/* From an address as devices see it to a physical one. */
static u64 host_address(u64 bus, const char *name)
{
	unsigned int i;

	for (i = 0; i < host.windows; i++)
		if (bus >= host.window[i].bus && bus - host.window[i].bus < host.window[i].bytes)
			return bus - host.window[i].bus + host.window[i].paddr;
	if (host.windows)
		fail("%s has registers outside of the PCI windows", name);
	return bus;
}

static u64 bar_address(volatile u8 *config, unsigned int bar, const char *name)
{
	u32 low;
	u64 address;

	if (bar >= BARS)
		fail("%s has no BAR %u", name, bar);
	low = get32(config, BAR0 + 4 * bar);
	address = low & ~(u64)BAR_FLAGS;
	if ((low & BAR_TYPE_64) && bar + 1 < BARS)
		address |= (u64)get32(config, BAR0 + 4 * bar + 4) << 32;
	if ((low & BAR_IO) || !address)
		fail("%s has no memory for BAR %u", name, bar);
	return host_address(address, name);
}

/* Physical address of a part of the registers. */
static u64 part_address(volatile u8 *config, unsigned int cap, const char *name)
{
	return bar_address(config, get8(config, cap + CFG_BAR), name) + get32(config, cap + CFG_OFFSET);
}

/* Add a part of the registers to the driver's; returns its offset there. */
static u64 add_part(struct server *server, unsigned int cap, const char *name)
{
	volatile u8 *config = server->pci.config;
	u64 paddr = part_address(config, cap, name), bytes = get32(config, cap + CFG_LENGTH);
	u64 most = PART_PAGES * (u64)L4_PAGE_SIZE - paddr % L4_PAGE_SIZE;

	return regs_add(&server->regs, paddr, bytes < most ? bytes : most);
}

static void set_up_msix(const struct server *server, unsigned int cap, const char *name, u64 address, u64 data)
{
	volatile u8 *config = server->pci.config;
	u32 place = get32(config, cap + 4);
	u64 table_paddr = bar_address(config, place & 7, name) + (place & ~7U);
	unsigned int entries = (get16(config, cap + 2) & 0x7ffU) + 1, i;
	u64 end = table_paddr + 16UL * entries;
	volatile u32 *table;

	for (i = 0; i < server->regs.pages; i++)
		if (server->regs.page[i] + L4_PAGE_SIZE > table_paddr && server->regs.page[i] < end)
			fail("%s has its MSI-X table among its registers", name);
	/* A driver may choose any vector for its queues; only the first is one. */
	table = device_map(table_paddr, 16UL * entries, true);
	for (i = 1; i < entries; i++)
		table[i * MSIX_ENTRY_WORDS + 3] = MSIX_MASKED;
	table[0] = (u32)address;
	table[1] = (u32)(address >> 32);
	table[2] = (u32)data;
	table[3] = 0;
	l4_mb();
	set16(config, cap + 2, (u16)(get16(config, cap + 2) | MSIX_MASK_ALL | MSIX_ENABLE));
}

static void set_up_line(struct server *server, const char *name)
{
	const struct pci_device *device = &server->pci;
	unsigned int pin = get8(device->config, INTERRUPT_PIN), number = device->number >> 3;
	unsigned long error;
	bool level;
	u64 line;

	if (pin < 1 || pin > 4 || device->bus != host.first_bus ||
	    !plat_pci_line(number, device->number & 7, pin, &line, &level))
		fail("%s has no interrupt: no message is left for it, and no line known", name);
	server->irq_line = true;
	error = l4_control_irq_line(L4_ROOT_SLOT_CONTROL, line, level, L4_ROOT_SLOT_CNODE, server->irq);
	if (error == L4_ERR_BUSY)
		fail("%s in PCI slot %u has interrupt line %lu, which another device uses: move it to another slot",
		     name, number, line);
	check(error, "interrupt line of a PCI device");
}

/* A message where the machine has them, else a line. */
static void set_up_interrupt(struct server *server, unsigned int msix, const char *name)
{
	unsigned long address, data, error = L4_ERR_MEMORY;

	if (msix)
		error = l4_control_irq_msi(L4_ROOT_SLOT_CONTROL, L4_ROOT_SLOT_CNODE, server->irq, &address, &data);
	if (error == L4_ERR_MEMORY) {
		set_up_line(server, name);
		return;
	}
	check(error, "message-signalled interrupt");
	set_up_msix(server, msix, name, address, data);
	server->pci.msix = msix;
}

static void bus_master(struct server *server, bool on)
{
	u32 command = get16(server->pci.config, COMMAND) & ~(COMMAND_MASTER | COMMAND_NO_INTX);

	command |= COMMAND_MEMORY | (on ? COMMAND_MASTER : 0) | (server->irq_line ? 0 : COMMAND_NO_INTX);
	set16(server->pci.config, COMMAND, (u16)command);
	l4_mb(); /* before anybody touches its registers */
}

static void mask_messages(struct server *server, bool masked)
{
	volatile u8 *config = server->pci.config;
	unsigned int at = server->pci.msix + 2;

	if (!server->pci.msix)
		return;
	set16(config, at, (u16)((get16(config, at) & ~MSIX_MASK_ALL) | (masked ? MSIX_MASK_ALL : 0)));
	l4_mb();
}

/* Reset, with all its requests given up or done: it reads 0 then (virtio 1.2, section 4.1.4.3.1). */
static void reset(struct server *server)
{
	volatile u8 *status = server->pci.common + COMMON_DEVICE_STATUS;
	unsigned int i;

	*status = 0;
	for (i = 0; *status && i < RESET_TRIES; i++)
		;
	l4_mb();
}

void pci_start(struct server *server)
{
	bus_master(server, true);
	mask_messages(server, false);
}

void pci_stop(struct server *server)
{
	/* Without bus mastering it can reach no memory, reset or not. */
	mask_messages(server, true);
	bus_master(server, false);
	reset(server);
}

static void find(u16 device_id, const char *name, struct pci_device *device)
{
	if (!plat_pci(&host))
		fail("firmware tells of no PCI configuration space");
	closed_bridge = false;
	if (!find_on(host.first_bus, device_id, 0, device)) {
		if (find_on(host.first_bus, device_id - TRANSITIONAL, 0, device))
			fail("%s is a transitional device, and only modern ones are driven: add disable-legacy=on",
			     name);
		fail("the machine has no %s%s", name,
		     closed_bridge ? " on its first PCI bus, and no firmware has opened the bridges" : "");
	}
	if (host.windows)
		assign_bars(device->config, name);
}

void pci_claim_virtio(struct server *server, u16 device_id, const char *name)
{
	unsigned int cap, msix = 0, limit = 48, found = 0;
	struct pci_device *device = &server->pci;
	volatile u8 *config;
	u64 common = 0;

	find(device_id, name, device);
	config = device->config;
	bus_master(server, false);
	if (!(get16(config, STATUS) & STATUS_CAPS))
		fail("%s has no capabilities", name);
	for (cap = get8(config, CAPS) & 0xfcU; cap && limit--; cap = get8(config, cap + 1) & 0xfcU) {
		unsigned int type = get8(config, cap + CFG_TYPE);

		if (get8(config, cap) == CAP_MSIX)
			msix = cap;
		if (get8(config, cap) != CAP_VENDOR || type < TYPE_COMMON || type > TYPE_DEVICE || (found & 1U << type))
			continue;
		found |= 1U << type;
		switch (type) {
		case TYPE_COMMON:
			device->common_offset = add_part(server, cap, name);
			common = part_address(config, cap, name);
			break;
		case TYPE_NOTIFY:
			device->notify_offset = add_part(server, cap, name);
			device->notify_multiplier = get32(config, cap + CFG_NOTIFY_MULTIPLIER);
			break;
		case TYPE_ISR:
			device->isr_offset = add_part(server, cap, name);
			break;
		default:
			device->device_offset = add_part(server, cap, name);
		}
	}
	if (found != (1U << TYPE_COMMON | 1U << TYPE_NOTIFY | 1U << TYPE_ISR | 1U << TYPE_DEVICE))
		fail("%s is no modern virtio device", name);
	set_up_interrupt(server, msix, name);
	device->common = device_map(common, 64, true);
}
