/* SPDX-License-Identifier: GPL-2.0-only */
/* A PC: ACPI tables, real-time clock, COM1. */
#include <abi_boot.h>
#include <base/lib.h>
#include <l4/invoke.h>

#include <root/device_memory.h>
#include <root/memory.h>
#include <root/report.h>
#include "board.h"
#include "platform.h"

#define COM1       0x3f8
#define COM1_PORTS 8
#define COM1_LINE  4

#define CMOS_INDEX 0x70
#define CMOS_DATA  0x71
#define RTC_LINE   8
/* Registers of an MC146818. */
enum { SECONDS = 0, MINUTES = 2, HOURS = 4, DAY = 7, MONTH = 8, YEAR = 9, REG_A = 10, REG_B = 11, REG_C = 12 };
#define A_UPDATING         0x80
#define B_UPDATE_INTERRUPT 0x10
#define B_BINARY           4
#define B_24_HOURS         2
#define PM                 0x80

/* ACPI 6.4, section 5.2. */
struct rsdp {
	char signature[8];
	u8 checksum;
	char oem[6];
	u8 revision;
	u32 rsdt;
	u32 length;
	u64 xsdt;
} __attribute__((packed));

struct table {
	char signature[4];
	u32 length;
	u8 rest[28];
} __attribute__((packed));

/* PCI Firmware Specification 3.2, section 4.1.2. */
struct mcfg_entry {
	u64 base;
	u16 segment;
	u8 first_bus, last_bus;
	u32 reserved;
} __attribute__((packed));

#define MCFG_ENTRIES 44 /* offset of the first */
#define TABLE_MAX    0x100000

static struct mcfg_entry mcfg;
static unsigned long rtc_irq;

static const struct table *map_table(u64 paddr)
{
	const struct table *table = device_map(paddr, sizeof(*table), false);
	u32 length = table->length;

	if (length < sizeof(*table) || length > TABLE_MAX)
		fail("ACPI table at %lx has a length of %u", paddr, length);
	return (paddr & (L4_PAGE_SIZE - 1)) + length <= L4_PAGE_SIZE ? table : device_map(paddr, length, false);
}

void platform_init(void)
{
	const struct rsdp *rsdp;
	const struct table *list;
	u32 width, at;

	if (!boot_info->firmware_table)
		fail("firmware has no ACPI tables");
	rsdp = device_map(boot_info->firmware_table, sizeof(*rsdp), false);
	if (memcmp(rsdp->signature, "RSD PTR ", 8))
		fail("firmware's ACPI table has no signature");
	width = rsdp->revision >= 2 && rsdp->xsdt ? 8 : 4;
	list = map_table(width == 8 ? rsdp->xsdt : rsdp->rsdt);
	for (at = sizeof(*list); at + width <= list->length; at += width) {
		const struct table *table;
		u64 paddr = 0;

		memcpy(&paddr, (const u8 *)list + at, width);
		table = map_table(paddr);
		if (!memcmp(table->signature, "MCFG", 4) && table->length >= MCFG_ENTRIES + sizeof(mcfg))
			memcpy(&mcfg, (const u8 *)table + MCFG_ENTRIES, sizeof(mcfg));
	}
}

bool board_pci(struct board_pci *pci)
{
	*pci = (struct board_pci){ .config = mcfg.base, .first_bus = mcfg.first_bus, .last_bus = mcfg.last_bus };
	return mcfg.base != 0;
}

/* ACPI describes the routing of pins in AML, which nothing here interprets: PCI devices of a PC must have MSI-X. */
bool board_pci_line(unsigned int number, unsigned int function, unsigned int pin, u64 *line, bool *level)
{
	return false;
}

static u8 cmos(unsigned int reg)
{
	unsigned long value;

	l4_ioport_out(L4_ROOT_SLOT_IOPORT, CMOS_INDEX, 1, reg);
	l4_ioport_in(L4_ROOT_SLOT_IOPORT, CMOS_DATA, 1, &value);
	return (u8)value;
}

static void cmos_write(unsigned int reg, u8 value)
{
	l4_ioport_out(L4_ROOT_SLOT_IOPORT, CMOS_INDEX, 1, reg);
	l4_ioport_out(L4_ROOT_SLOT_IOPORT, CMOS_DATA, 1, value);
}

/* Days from 1970 to a date of the Gregorian calendar; years count from March, so that leap days come last. */
static u64 days_since_1970(u64 year, u64 month, u64 day)
{
	u64 shifted = month > 2 ? year : year - 1;
	u64 of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return shifted * 365 + shifted / 4 - shifted / 100 + shifted / 400 + of_year - 719468;
}

u64 platform_wallclock(void)
{
	static const u8 regs[] = { SECONDS, MINUTES, HOURS, DAY, MONTH, YEAR };
	u64 field[6], seconds, counter;
	u8 b = cmos(REG_B);
	unsigned int i;
	bool pm;

	/*
	 * The clock updates its registers once a second, for 2 ms. A reading is consistent if the seconds are the same
	 * before and after it.
	 */
	do {
		while (cmos(REG_A) & A_UPDATING)
			;
		for (i = 0; i < 6; i++)
			field[i] = cmos(regs[i]);
	} while (cmos(SECONDS) != field[0]);
	counter = l4_counter();
	pm = field[2] & PM;
	field[2] &= ~(u64)PM;
	for (i = 0; i < 6 && !(b & B_BINARY); i++)
		field[i] = field[i] / 16 * 10 + field[i] % 16;
	if (!(b & B_24_HOURS))
		field[2] = field[2] % 12 + (pm ? 12 : 0);
	seconds = days_since_1970(2000 + field[5], field[4], field[3]) * 86400 + field[2] * 3600 + field[1] * 60 +
	          field[0];
	return seconds * 1000000000UL - counter_nanoseconds(counter);
}

void board_serial(struct device *device)
{
	unsigned long irq = slot_alloc(1);

	device_add(device, (struct l4_resource){ .kind = L4_RESOURCE_REGISTERS,
	                                         .type = L4_REGISTERS_NS16550,
	                                         .flags = L4_RESOURCE_FLAG_PORT,
	                                         .slot = (u32)cap_mint(L4_ROOT_SLOT_IOPORT, L4_RIGHT_ALL,
	                                                               COM1 | (COM1 + COM1_PORTS - 1) << 16),
	                                         .address = COM1,
	                                         .size = COM1_PORTS });
	check(l4_control_irq_line(L4_ROOT_SLOT_CONTROL, COM1_LINE, 0, L4_ROOT_SLOT_CNODE, irq), "interrupt of COM1");
	device_add(device, (struct l4_resource){ .kind = L4_RESOURCE_INTERRUPT, .slot = (u32)irq });
}

bool platform_tick_start(unsigned long notification)
{
	rtc_irq = slot_alloc(1);
	if (l4_control_irq_line(L4_ROOT_SLOT_CONTROL, RTC_LINE, 0, L4_ROOT_SLOT_CNODE, rtc_irq) ||
	    l4_irq_handler_bind(rtc_irq, notification))
		return false;
	cmos_write(REG_B, cmos(REG_B) | B_UPDATE_INTERRUPT);
	platform_tick();
	return true;
}

void platform_tick(void)
{
	cmos(REG_C); /* reading it clears the interrupt */
	l4_irq_handler_ack(rtc_irq);
}
