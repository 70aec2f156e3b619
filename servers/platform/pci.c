/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PCI. Configuration space and MSI-X tables stay here: whoever writes those decides where a device may write.
 *
 * Where no firmware has assigned base addresses, those of the devices that are used are assigned here; bridges are
 * then closed, and what is behind them is not found.
 */
#include <abi_boot.h>
#include <l4/invoke.h>

#include <root/device_memory.h>
#include <root/memory.h>
#include <root/report.h>
#include "board.h"
#include "pci.h"

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

#define MSIX_ENABLE   0x8000
#define MSIX_MASK_ALL 0x4000

#define MSIX_ENTRY_WORDS 4
#define MSIX_MASKED      1

static struct board_pci host;
static u64 window_used[BOARD_PCI_WINDOWS];
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

		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, device_frame(paddr, BUS_BITS), next, RIGHTS_RW, 1),
		      "map of PCI configuration space");
		mapped[bus] = (volatile u8 *)next;
		next += 1UL << BUS_BITS;
	}
	return mapped[bus];
}

/* What is searched for: the function with these ids after `skip` others with the same. */
struct wanted {
	u16 vendor, device_id;
	unsigned int skip;
};

/* Find a function on a bus or behind its bridges. */
static bool find_on(unsigned int bus, struct wanted *wanted, unsigned int depth, struct pci_function *function)
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
		if (get16(config, VENDOR) == wanted->vendor && get16(config, DEVICE) == wanted->device_id &&
		    !wanted->skip--) {
			function->config = config;
			function->bus = bus;
			function->number = number;
			return true;
		}
		if ((get8(config, HEADER_TYPE) & 0x7f) != BRIDGE)
			continue;
		secondary = get8(config, SECONDARY_BUS);
		closed_bridge |= !secondary;
		if (secondary > bus && find_on(secondary, wanted, depth + 1, function))
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
		const struct board_window *window = &host.window[i];
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

u64 pci_bar_address(const struct device *device, unsigned int bar)
{
	volatile u8 *config = device->pci.config;
	u32 low;
	u64 address;

	if (bar >= BARS)
		fail("%s has no BAR %u", device->name, bar);
	low = get32(config, BAR0 + 4 * bar);
	address = low & ~(u64)BAR_FLAGS;
	if ((low & BAR_TYPE_64) && bar + 1 < BARS)
		address |= (u64)get32(config, BAR0 + 4 * bar + 4) << 32;
	if ((low & BAR_IO) || !address)
		fail("%s has no memory for BAR %u", device->name, bar);
	return host_address(address, device->name);
}

/* Whether a resource's pages hold some of [start, end). */
static bool overlaps(const struct l4_resource *resource, u64 start, u64 end)
{
	u64 first = resource->address & ~(L4_PAGE_SIZE - 1UL);
	u64 last = (resource->address + resource->size - 1) | (L4_PAGE_SIZE - 1UL);

	return resource->kind == L4_RESOURCE_REGISTERS && resource->size && first < end && last >= start;
}

static void write_message(const struct device *device, u64 address, u64 data)
{
	volatile u32 *entry = device->pci.messages;

	entry[0] = (u32)address;
	entry[1] = (u32)(address >> 32);
	entry[2] = (u32)data;
	l4_mb();
}

/*
 * Write a message into the first entry of the MSI-X table and mask the others: a driver may choose any vector for its
 * queues, and may not reach the table itself.
 */
static void set_up_msix(struct device *device, unsigned int cap, u64 address, u64 data)
{
	volatile u8 *config = device->pci.config;
	u32 place = get32(config, cap + 4);
	u64 table_paddr = pci_bar_address(device, place & 7) + (place & ~7U);
	unsigned int entries = (get16(config, cap + 2) & 0x7ffU) + 1, i;
	volatile u32 *table;

	for (i = 0; i < device->count; i++)
		if (overlaps(&device->resource[i], table_paddr, table_paddr + 16UL * entries))
			fail("%s has its MSI-X table among its registers", device->name);
	table = device->pci.messages = device_map(table_paddr, 16UL * entries, true);
	for (i = 1; i < entries; i++)
		table[i * MSIX_ENTRY_WORDS + 3] = MSIX_MASKED;
	table[3] = 0;
	write_message(device, address, data);
	set16(config, cap + 2, (u16)(get16(config, cap + 2) | MSIX_MASK_ALL | MSIX_ENABLE));
	device->pci.msix = cap;
}

static void set_up_line(struct device *device, unsigned long irq)
{
	const struct pci_function *function = &device->pci;
	unsigned int pin = get8(function->config, INTERRUPT_PIN), number = function->number >> 3;
	unsigned long error;
	bool level;
	u64 line;

	if (pin < 1 || pin > 4 || function->bus != host.first_bus ||
	    !board_pci_line(number, function->number & 7, pin, &line, &level))
		fail("%s has no interrupt: no message is left for it, and no line known", device->name);
	device->pci.line = true;
	error = l4_control_irq_line(L4_ROOT_SLOT_CONTROL, line, level, L4_ROOT_SLOT_CNODE, irq);
	if (error == L4_ERR_BUSY)
		fail("%s in PCI slot %u has interrupt line %lu, which another device uses: move it to another slot",
		     device->name, number, line);
	check(error, "interrupt line of a PCI device");
}

void pci_add_interrupt(struct device *device, unsigned int msix_cap)
{
	unsigned long error = L4_ERR_MEMORY, irq = slot_alloc(1);
	struct l4_control_irq_msi message;

	if (msix_cap)
		error = l4_control_irq_msi(L4_ROOT_SLOT_CONTROL, L4_ROOT_SLOT_CNODE, irq, &message);
	if (error == L4_ERR_MEMORY) {
		set_up_line(device, irq);
	} else {
		check(error, "message-signalled interrupt");
		set_up_msix(device, msix_cap, message.address, message.data);
	}
	device_add(device, (struct l4_resource){ .kind = L4_RESOURCE_INTERRUPT,
	                                         .flags = device->pci.line ? L4_RESOURCE_FLAG_LINE : 0,
	                                         .slot = (u32)irq });
}

static void bus_master(const struct device *device, bool on)
{
	u32 command = get16(device->pci.config, COMMAND) & ~(COMMAND_MASTER | COMMAND_NO_INTX);

	command |= COMMAND_MEMORY | (on ? COMMAND_MASTER : 0) | (device->pci.line ? 0 : COMMAND_NO_INTX);
	set16(device->pci.config, COMMAND, (u16)command);
	l4_mb(); /* before anybody touches the device's registers */
}

static void mask_messages(const struct device *device, bool masked)
{
	volatile u8 *config = device->pci.config;
	unsigned int at = device->pci.msix + 2;

	if (!device->pci.msix)
		return;
	set16(config, at, (u16)((get16(config, at) & ~MSIX_MASK_ALL) | (masked ? MSIX_MASK_ALL : 0)));
	l4_mb();
}

/* An entry is changed while it is masked; a message that is due meanwhile is sent afterwards (section 6.8.3.5). */
bool device_route(const struct device *device, unsigned long cpu)
{
	const struct l4_resource *interrupt = device_resource(device, L4_RESOURCE_INTERRUPT);
	struct l4_irq_handler_route message;
	unsigned long error = l4_irq_handler_route(interrupt->slot, cpu, &message);
	bool masked;

	if (error == L4_ERR_RANGE)
		return false;
	check(error, "route of an interrupt");
	if (!device->pci.msix)
		return true;
	masked = get16(device->pci.config, device->pci.msix + 2) & MSIX_MASK_ALL;
	mask_messages(device, true);
	write_message(device, message.address, message.data);
	mask_messages(device, masked);
	return true;
}

void pci_start(struct device *device)
{
	bus_master(device, true);
	mask_messages(device, false);
}

void pci_stop(struct device *device)
{
	mask_messages(device, true);
	bus_master(device, false);
}

unsigned int pci_next_cap(const struct device *device, unsigned int cap)
{
	volatile u8 *config = device->pci.config;

	if (!cap && !(get16(config, STATUS) & STATUS_CAPS))
		fail("%s has no capabilities", device->name);
	return get8(config, cap ? cap + 1 : CAPS) & 0xfcU;
}

bool pci_find(struct device *device, u16 vendor, u16 device_id, unsigned int instance)
{
	struct wanted wanted = { vendor, device_id, instance };

	if (!board_pci(&host))
		fail("firmware tells of no PCI configuration space");
	closed_bridge = false;
	if (!find_on(host.first_bus, &wanted, 0, &device->pci))
		return false;
	if (host.windows)
		assign_bars(device->pci.config, device->name);
	bus_master(device, false);
	return true;
}

const char *pci_not_found(void)
{
	return closed_bridge ? " on its first PCI bus, and no firmware has opened the bridges" : "";
}
