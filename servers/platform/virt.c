/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A machine that a device tree describes (Devicetree Specification 0.4): QEMU's virt boards, of any CPU. The tree may
 * name a generic PCIe host, two kinds of serial lines, two kinds of clocks; everything else is read from it.
 */
#include <abi_boot.h>
#include <fdt/fdt.h>

#include <base/lib.h>
#include <l4/invoke.h>

#include <root/device_memory.h>
#include <root/memory.h>
#include <root/report.h>
#include "board.h"
#include "platform.h"

#define FDT_HEADER 40
#define RTC_BYTES  0x20
#define FDT_MAX    0x200000
#define BUS_BITS   20
#define SECOND     1000000000UL

static struct fdt tree;

struct clock {
	const char *compatible;
	u64 (*nanoseconds)(void);
	void (*next_second)(void); /* clear the interrupt, request the next in about a second */
};

static const struct clock *rtc;
static volatile u32 *rtc_regs;
static int rtc_node;
static unsigned long rtc_irq;

/*
 * Goldfish RTC (Android's GOLDFISH-VIRTUAL-HARDWARE.TXT). Reading TIME_LOW latches TIME_HIGH, writing ALARM_LOW arms
 * the alarm. Offsets in words.
 */
enum { TIME_LOW = 0, TIME_HIGH, ALARM_LOW, ALARM_HIGH, IRQ_ENABLED, CLEAR_INTERRUPT = 7 };

static u64 goldfish_nanoseconds(void)
{
	u64 low = rtc_regs[TIME_LOW];

	return low | (u64)rtc_regs[TIME_HIGH] << 32;
}

static void goldfish_next_second(void)
{
	u64 alarm = goldfish_nanoseconds() + SECOND;

	rtc_regs[CLEAR_INTERRUPT] = 1;
	rtc_regs[ALARM_HIGH] = (u32)(alarm >> 32);
	rtc_regs[ALARM_LOW] = (u32)alarm;
	rtc_regs[IRQ_ENABLED] = 1;
}

/* PL031: ARM DDI 0224, section 3.3. Offsets in words. */
enum { SECONDS = 0, MATCH = 1, MASK = 4, CLEAR = 7 };

static u64 pl031_nanoseconds(void) { return rtc_regs[SECONDS] * SECOND; }

static void pl031_next_second(void)
{
	u32 match;

	rtc_regs[CLEAR] = 1;
	/*
	 * The alarm fires when SECONDS equals MATCH. Write it again if SECONDS passed MATCH meanwhile: the next match
	 * would be 136 years later.
	 */
	do {
		match = rtc_regs[SECONDS] + 1;
		rtc_regs[MATCH] = match;
	} while ((int)(rtc_regs[SECONDS] - match) > 0);
	rtc_regs[MASK] = 1;
}

static const struct clock clocks[] = {
	{ "google,goldfish-rtc", goldfish_nanoseconds, goldfish_next_second },
	{ "arm,pl031", pl031_nanoseconds, pl031_next_second },
};

static void find_clock(void)
{
	u64 paddr, bytes;
	unsigned int i;

	for (i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
		rtc_node = fdt_compatible(&tree, FDT_NONE, clocks[i].compatible);
		if (rtc_node == FDT_NONE)
			continue;
		if (fdt_reg(&tree, rtc_node, 0, &paddr, &bytes) || paddr % sizeof(*rtc_regs))
			fail("device tree: %s has no registers", fdt_name(&tree, rtc_node));
		rtc = &clocks[i];
		rtc_regs = device_map(paddr, RTC_BYTES, true);
		return;
	}
	fail("device tree: no real-time clock");
}

void platform_init(void)
{
	const u8 *blob;
	u64 bytes;

	if (!boot_info->firmware_table)
		fail("firmware has no device tree");
	blob = device_map(boot_info->firmware_table, FDT_HEADER, false);
	bytes = fdt_cells(blob + 4, 1);
	if (bytes < FDT_HEADER || bytes > FDT_MAX)
		fail("device tree has a size of %lu", bytes);
	blob = device_map(boot_info->firmware_table, bytes, false);
	if (fdt_open(&tree, blob, bytes))
		fail("device tree is damaged");
	find_clock();
}

/* Decode an interrupt specifier. One cell (PLIC): the line. Three cells (GIC): SPI or PPI, number, trigger. */
static bool line_of(const void *cells, int count, u64 *line, bool *level)
{
	u64 kind = fdt_cells(cells, 1);

	*line = kind;
	*level = true;
	if (count == 1)
		return true;
	if (count != 3 || kind > 1)
		return false;
	*line = fdt_cells((const u8 *)cells + 4, 1) + (kind ? 16 : 32);
	*level = fdt_cells((const u8 *)cells + 8, 1) & 0xc;
	return true;
}

/* IrqHandler of a device's first interrupt. Returns whether it is a level. */
static bool take_interrupt(int node, unsigned long slot)
{
	const char *name = fdt_name(&tree, node);
	int controller, count;
	const void *cells;
	bool level;
	u64 line;

	if (fdt_interrupt(&tree, node, 0, &controller, &cells, &count) || !line_of(cells, count, &line, &level))
		fail("device tree: %s has no interrupt", name);
	check(l4_control_irq_line(L4_ROOT_SLOT_CONTROL, line, level, L4_ROOT_SLOT_CNODE, slot), name);
	return level;
}

/* A window for memory: PCI Bus Binding to IEEE 1275, section 2.2.1.1. */
static void add_window(struct board_pci *pci, const u8 *at, int above)
{
	u64 space = fdt_cells(at, 1) >> 24 & 3, bus = fdt_cells(at + 4, 2);
	u64 paddr = fdt_cells(at + 12, above), bytes = fdt_cells(at + 12 + 4 * above, 2);

	if (space < 2 || pci->windows == BOARD_PCI_WINDOWS)
		return;
	if (bus + bytes < bus || paddr + bytes < paddr || bus % L4_PAGE_SIZE || paddr % L4_PAGE_SIZE)
		fail("device tree: PCI window at %lx of %lx bytes makes no sense", bus, bytes);
	pci->window[pci->windows++] = (struct board_window){ bus, paddr, bytes };
}

static int pci_host(void) { return fdt_compatible(&tree, FDT_NONE, "pci-host-ecam-generic"); }

bool board_pci(struct board_pci *pci)
{
	int node = pci_host(), size, above, step;
	const u8 *at;
	u64 bytes;

	if (node == FDT_NONE)
		return false;
	*pci = (struct board_pci){ .last_bus = 255 };
	if (fdt_reg(&tree, node, 0, &pci->config, &bytes) || !bytes || pci->config % (1UL << BUS_BITS))
		fail("device tree: PCI has no configuration space");
	at = fdt_property(&tree, node, "bus-range", &size);
	if (at && size == 8) {
		pci->first_bus = (unsigned int)fdt_cells(at, 1) & 255;
		pci->last_bus = (unsigned int)fdt_cells(at + 4, 1) & 255;
	}
	if (pci->first_bus > pci->last_bus || bytes >> BUS_BITS <= pci->last_bus - pci->first_bus)
		fail("device tree: PCI has buses %u to %u in %lu bytes", pci->first_bus, pci->last_bus, bytes);
	above = (int)fdt_number(&tree, fdt_parent(&tree, node), "#address-cells", 2);
	if (above < 1 || above > 2)
		fail("device tree: addresses around PCI have %d cells", above);
	step = 4 * (3 + above + 2);
	at = fdt_property(&tree, node, "ranges", &size);
	for (; at && size >= step; at += step, size -= step)
		add_window(pci, at, above);
	if (!pci->windows)
		fail("device tree: PCI has no window for memory");
	return true;
}

/*
 * Section 2.4.3: each entry of interrupt-map has a device's address and pin, then a controller's phandle, an address
 * and an interrupt specifier of that controller.
 */
bool board_pci_line(unsigned int number, unsigned int function, unsigned int pin, u64 *line, bool *level)
{
	int node = pci_host(), size, mask_size;
	const u8 *at = fdt_property(&tree, node, "interrupt-map", &size);
	const u8 *mask = fdt_property(&tree, node, "interrupt-map-mask", &mask_size);
	u64 device = (number << 11 | function << 8) & (mask && mask_size == 16 ? fdt_cells(mask, 1) : 0xffff00);

	if (mask && mask_size == 16)
		pin &= (unsigned int)fdt_cells(mask + 12, 1);
	while (at && size >= 20) {
		int controller = fdt_phandle(&tree, (unsigned int)fdt_cells(at + 16, 1));
		u64 address_cells = fdt_number(&tree, controller, "#address-cells", 0);
		u64 cells = fdt_number(&tree, controller, "#interrupt-cells", 0);
		int step = 20 + 4 * (int)((address_cells & 3) + (cells & 3));

		if (controller == FDT_NONE || address_cells > 3 || !cells || cells > 3 || step > size)
			fail("device tree: interrupt-map of PCI is damaged");
		if (fdt_cells(at, 1) == device && fdt_cells(at + 12, 1) == pin)
			return line_of(at + step - 4 * cells, (int)cells, line, level);
		at += step;
		size -= step;
	}
	return false;
}

u64 platform_wallclock(void)
{
	u64 now = rtc->nanoseconds();

	return now - counter_nanoseconds(l4_counter());
}

void board_serial(struct device *device)
{
	static const struct {
		const char *compatible;
		unsigned int type;
	} kinds[] = {
		{ "ns16550a", L4_REGISTERS_NS16550 },
		{ "ns16550", L4_REGISTERS_NS16550 },
		{ "arm,pl011", L4_REGISTERS_PL011 },
	};
	unsigned int i, count = sizeof(kinds) / sizeof(kinds[0]);
	unsigned long irq = slot_alloc(1);
	int node = fdt_stdout(&tree);
	u64 paddr, bytes;

	if (node == FDT_NONE)
		fail("device tree: no serial line in /chosen stdout-path");
	for (i = 0; i < count && !fdt_is_compatible(&tree, node, kinds[i].compatible); i++)
		;
	if (i == count)
		fail("device tree: no driver for serial line %s", fdt_name(&tree, node));
	if (fdt_reg(&tree, node, 0, &paddr, &bytes) || paddr % L4_PAGE_SIZE)
		fail("device tree: %s has no registers at the start of a page", fdt_name(&tree, node));
	if (fdt_number(&tree, node, "reg-shift", 0) || fdt_number(&tree, node, "reg-io-width", 1) != 1)
		fail("device tree: registers of %s are not a byte apart", fdt_name(&tree, node));
	device_add(device, (struct l4_resource){ .kind = L4_RESOURCE_REGISTERS,
	                                         .type = kinds[i].type,
	                                         .slot = (u32)device_frame(paddr, L4_PAGE_BITS),
	                                         .size = L4_PAGE_SIZE });
	device_add(device, (struct l4_resource){ .kind = L4_RESOURCE_INTERRUPT,
	                                         .flags = take_interrupt(node, irq) ? L4_RESOURCE_FLAG_LINE : 0,
	                                         .slot = (u32)irq });
}

bool platform_tick_start(unsigned long notification)
{
	rtc_irq = slot_alloc(1);
	take_interrupt(rtc_node, rtc_irq);
	check(l4_irq_handler_bind(rtc_irq, notification), "interrupt of the real-time clock");
	platform_tick();
	return true;
}

void platform_tick(void)
{
	rtc->next_second();
	l4_irq_handler_ack(rtc_irq);
}
