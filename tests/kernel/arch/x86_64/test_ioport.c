/* SPDX-License-Identifier: GPL-2.0-only */
/* IoPort, and the delivery of an interrupt by the PC's real-time clock. */
#include "harness.h"

#define IO             L4_ROOT_SLOT_IOPORT
#define CMOS_INDEX     0x70
#define CMOS_DATA      0x71
#define PIT_LINE       2 /* of the I/O APIC */
#define RTC_LINE       8
#define RTC_B          0x0b
#define RTC_C          0x0c
#define RTC_B_PERIODIC 0x40

static u64 cmos_read(u64 index)
{
	ERR(INV(IO, L4_IOPORT_OUT, CMOS_INDEX, 1, index), OK);
	return INV(IO, L4_IOPORT_IN, CMOS_DATA, 1).m[0];
}

static void cmos_write(u64 index, u64 value)
{
	ERR(INV(IO, L4_IOPORT_OUT, CMOS_INDEX, 1, index), OK);
	ERR(INV(IO, L4_IOPORT_OUT, CMOS_DATA, 1, value), OK);
}

static u64 port_range(u64 source, u64 first, u64 last)
{
	u64 to = slot_new();

	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_MINT, to, L4_ROOT_SLOT_CNODE, source, 15, first | last << 16));
	return to;
}

TEST(ioport_in_and_out)
{
	u64 old = cmos_read(0x30);

	cmos_write(0x30, 0x5a);
	EQ(cmos_read(0x30), 0x5a);
	cmos_write(0x30, 0xa5);
	EQ(cmos_read(0x30), 0xa5);
	/* two bytes at once: the index and the data */
	ERR(INV(IO, L4_IOPORT_OUT, CMOS_INDEX, 2, 0x30 | 0x3c00), OK);
	EQ(cmos_read(0x30), 0x3c);
	cmos_write(0x30, old);
	/* the PCI configuration address register is 32 bits wide */
	ERR(INV(IO, L4_IOPORT_OUT, 0xcf8, 4, 0x80000000), OK);
	EQ(INV(IO, L4_IOPORT_IN, 0xcf8, 4).m[0], 0x80000000);
	EQ(INV(IO, L4_IOPORT_IN, 0xcfc, 2).m[0], INV(IO, L4_IOPORT_IN, 0xcfc, 4).m[0] & 0xffff);
	ERR(INV(IO, L4_IOPORT_OUT, 0xcf8, 4, 0), OK);
}

TEST(ioport_errors)
{
	u64 cmos = port_range(IO, 0x70, 0x71), to = slot_new();

	ERR(INV(IO, L4_IOPORT_IN, 0x70, 3), ARG);
	ERR(INV(IO, L4_IOPORT_IN, 0x70, 0), ARG);
	ERR(INV(IO, L4_IOPORT_OUT, 0x70, 8, 0), ARG);
	ERR(INV(IO, L4_IOPORT_IN, 0x10000, 1), RANGE);
	ERR(INV(IO, L4_IOPORT_IN, 0xffff, 2), RANGE);
	ERR(INV(IO, L4_IOPORT_IN, ~0UL, 1), RANGE);
	ERR(INV(IO, L4_IOPORT_IN, ~0UL, 4), RANGE);
	ERR(INV(cmos, L4_IOPORT_IN, 0x71, 1), OK);
	ERR(INV(cmos, L4_IOPORT_IN, 0x6f, 1), RANGE);
	ERR(INV(cmos, L4_IOPORT_IN, 0x72, 1), RANGE);
	ERR(INV(cmos, L4_IOPORT_IN, 0x71, 2), RANGE);
	ERR(INV(cmos, L4_IOPORT_OUT, 0x6f, 2, 0), RANGE);
	ERR(INV(cap_copy(cmos, L4_RIGHT_READ), L4_IOPORT_OUT, 0x70, 1, 0), RIGHTS);
	ERR(INV(cap_copy(cmos, L4_RIGHT_WRITE), L4_IOPORT_IN, 0x70, 1), RIGHTS);
	ERR(INV(cmos, 2), OP);
	/* ranges only shrink */
#define RANGE_MINT(first, last) \
	INV(L4_ROOT_SLOT_CNODE, L4_CNODE_MINT, to, L4_ROOT_SLOT_CNODE, cmos, 15, (first) | (u64)(last) << 16)
	ERR(RANGE_MINT(0x70, 0x72), ARG);
	ERR(RANGE_MINT(0x6f, 0x71), ARG);
	ERR(RANGE_MINT(0x71, 0x70), ARG);
	ERR(RANGE_MINT(0x70, 0x10070), ARG);
	EQ(slot_type_error(to), L4_ERR_CAP);
	ERR(RANGE_MINT(0x71, 0x71), OK);
	ERR(INV(to, L4_IOPORT_IN, 0x71, 1), OK);
	ERR(INV(to, L4_IOPORT_IN, 0x70, 1), RANGE);
	ERR(slot_delete(cmos), OK);
	EQ(slot_type_error(to), L4_ERR_CAP);
}

static u64 rounds_in(u64 ms)
{
	u64 end = l4_counter() + ms * boot_info->counter_hz / 1000, rounds = 0;

	for (; l4_counter() < end; rounds++)
		arch_relax();
	return rounds;
}

/* A source of edges that never stops costs no time until its driver acknowledges. */
TEST(irq_storm_of_edges_waits_for_the_acknowledgement)
{
	u64 irq = slot_new(), n = obj_new(L4_TYPE_NOTIFICATION, 0), quiet = rounds_in(5), stormy;

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, PIT_LINE, 0, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, n));
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	MUST(INV(IO, L4_IOPORT_OUT, 0x43, 1, 0x34)); /* channel 0, both bytes, rate generator */
	MUST(INV(IO, L4_IOPORT_OUT, 0x40, 1, 4));
	MUST(INV(IO, L4_IOPORT_OUT, 0x40, 1, 0));
	ERR(SYS(L4_SYS_WAIT, n, 0), OK);
	stormy = rounds_in(5);
	print("# bench rounds quiet %lu, in a storm %lu\n", quiet, stormy);
	CHECK(stormy * 100 > quiet * 99);
	/* an edge that came meanwhile is delivered at the ACK */
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	ERR(SYS(L4_SYS_POLL, n, 0), OK);
	/* stop the timer, and unbind */
	MUST(INV(IO, L4_IOPORT_OUT, 0x43, 1, 0x30));
	ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), OK);
}

TEST(irq_is_delivered_until_acknowledged)
{
	u64 irq = slot_new(), n = obj_new(L4_TYPE_NOTIFICATION, 0), badged = cap_mint(n, L4_RIGHT_WRITE, 0x20);
	u64 b, start;

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, RTC_LINE, 0, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, badged));
	cmos_read(RTC_C);
	b = cmos_read(RTC_B);
	cmos_write(0x0a, 0x26); /* 1024 Hz */
	cmos_write(RTC_B, b | RTC_B_PERIODIC);
	/* masked until the first ACK */
	start = l4_counter();
	while (l4_counter() - start < boot_info->counter_hz / 100)
		arch_relax();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	cmos_read(RTC_C);
	for (int i = 0; i < 5; i++) {
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		cmos_read(RTC_C); /* the clock raises its line again only after this */
		EQ(SYS(L4_SYS_WAIT, n, 0).badge, 0x20);
	}
	/* no further one without an ACK */
	cmos_read(RTC_C);
	start = l4_counter();
	while (l4_counter() - start < boot_info->counter_hz / 100)
		arch_relax();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), OK);
	cmos_read(RTC_C);
	start = l4_counter();
	while (l4_counter() - start < boot_info->counter_hz / 100)
		arch_relax();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	cmos_write(RTC_B, b);
	cmos_read(RTC_C);
}
