/* SPDX-License-Identifier: GPL-2.0-only */
/* Message-signalled interrupts, by QEMU's device "edu" (docs/specs/edu.rst there): a store makes it send one. */
#include "harness.h"

#define IO            L4_ROOT_SLOT_IOPORT
#define EDU           0x11e81234 /* device and vendor */
#define PCI_COMMAND   0x04
#define PCI_BAR       0x10
#define PCI_CAP_FIRST 0x34
#define PCI_CAP_MSI   5
#define MEMORY_MASTER 6 /* command: answers at its addresses, and sends messages */
#define MSI_ENABLE    (1 << 16)
#define RAISE         0x60
#define BURST         200 /* messages; the kernel takes 64 without an acknowledgement */

static u64 slot_of_edu, registers, bar_offset;

static u64 config_read(u64 at)
{
	ERR(INV(IO, L4_IOPORT_OUT, 0xcf8, 4, 0x80000000 | slot_of_edu << 11 | at), OK);
	return INV(IO, L4_IOPORT_IN, 0xcfc, 4).m[0];
}

static void config_write(u64 at, u64 value)
{
	ERR(INV(IO, L4_IOPORT_OUT, 0xcf8, 4, 0x80000000 | slot_of_edu << 11 | at), OK);
	ERR(INV(IO, L4_IOPORT_OUT, 0xcfc, 4, value), OK);
}

/* Finds the device, and makes a Frame of the device Untyped that has its registers. Returns that Untyped's slot. */
static u64 find_edu(void)
{
	u64 bar;

	for (slot_of_edu = 0; slot_of_edu < 32 && config_read(0) != EDU; slot_of_edu++)
		;
	if (!CHECK(slot_of_edu < 32))
		finish_test();
	bar = config_read(PCI_BAR) & ~15UL;
	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *u = &boot_info->untyped[i];

		if (u->kind != L4_MEM_DEVICE || bar < u->paddr || bar - u->paddr >= 1UL << u->size_bits)
			continue;
		registers = slot_new();
		bar_offset = bar - u->paddr;
		MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, u->size_bits, registers, 1));
		return L4_ROOT_SLOT_UNTYPED + i;
	}
	CHECK(!"a device Untyped with the registers");
	finish_test();
}

static void send_to(u64 address, u64 data)
{
	u64 cap = config_read(PCI_CAP_FIRST) & 0xff;

	while (cap && (config_read(cap) & 0xff) != PCI_CAP_MSI)
		cap = config_read(cap) >> 8 & 0xff;
	CHECK(cap);
	config_write(PCI_COMMAND, MEMORY_MASTER);
	config_write(cap + 4, address);
	config_write(cap + 8, 0);
	config_write(cap + 12, data);
	config_write(cap, config_read(cap) | MSI_ENABLE);
}

static void raise(void) { ERR(INV(registers, L4_FRAME_STORE, bar_offset + RAISE, 4, 1), OK); }

/* A device whose driver does not acknowledge sends message after message: the CPU takes none for a millisecond then. */
TEST(irq_storm_of_messages_pauses_them)
{
	u64 untyped = find_edu(), irq = slot_new(), n = obj_new(L4_TYPE_NOTIFICATION, 0), start;
	struct sys msi = INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_MSI, L4_ROOT_SLOT_CNODE, irq);

	MUST(msi);
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, n));
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	send_to(msi.m[0], msi.m[1]);
	raise();
	ERR(SYS(L4_SYS_POLL, n, 0), OK);
	/* no further one without an ACK, and then one for all of them */
	start = l4_counter();
	for (int i = 0; i < BURST; i++)
		raise();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	ERR(SYS(L4_SYS_POLL, n, 0), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	/* in the pause a message waits in the interrupt controller; after it, it comes */
	raise();
	if (l4_counter() - start < boot_info->counter_hz / 1000)
		ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(SYS(L4_SYS_WAIT, n, 0), OK);
	CHECK(l4_counter() - start > boot_info->counter_hz / 1000);
	/* later ones come at once again */
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	raise();
	ERR(SYS(L4_SYS_POLL, n, 0), OK);
	config_write(PCI_COMMAND, 0);
	ERR(slot_revoke(untyped), OK);
}

static u64 ping, pong;

static void echoes(struct helper *self)
{
	while (!SYS(L4_SYS_WAIT, ping, 0).error && shared[1])
		SYS(L4_SYS_SIGNAL, pong, 0);
}

/* Raise it, and wait until CPU 1 has run user mode since. */
static void raise_and_pass(void)
{
	raise();
	ERR(SYS(L4_SYS_SIGNAL, ping, 0), OK);
	ERR(SYS(L4_SYS_WAIT, pong, 0), OK);
}

/* A storm pauses the CPU that it goes to. The same interrupt comes to another CPU at once. */
TEST(irq_storm_pauses_its_cpu_alone)
{
	u64 untyped, irq, n, start, taken = 0;
	struct helper *other;
	struct sys msi;

	need_cpus(2);
	untyped = find_edu();
	irq = slot_new();
	n = obj_new(L4_TYPE_NOTIFICATION, 0);
	ping = obj_new(L4_TYPE_NOTIFICATION, 0);
	pong = obj_new(L4_TYPE_NOTIFICATION, 0);
	helper_cpu = 1;
	other = helper_make(echoes, 0, L4_ROOT_PRIORITY);
	helper_cpu = 0;
	shared[1] = 1;
	helper_start(other);
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_MSI, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, n));
	msi = INV(irq, L4_IRQ_HANDLER_ROUTE, 1);
	MUST(msi);
	send_to(msi.m[0], msi.m[1]);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	/* the first is delivered, the 64th after it makes the pause, in which the next one waits */
	for (int i = 0; i < BURST && taken < 65; i++) {
		raise_and_pass();
		taken = INV(irq, L4_IRQ_HANDLER_INFO).m[1];
	}
	start = l4_counter();
	EQ(taken, 65);
	EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[2], 1);
	raise_and_pass();
	if (l4_counter() - start < boot_info->counter_hz / 2000)
		EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[1], 65);
	msi = INV(irq, L4_IRQ_HANDLER_ROUTE, 0);
	MUST(msi);
	send_to(msi.m[0], msi.m[1]);
	raise();
	if (l4_counter() - start < boot_info->counter_hz / 2000) {
		EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[1], 66);
		EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[2], 0);
	}
	/* after the pause CPU 1 takes what waited there */
	while (l4_counter() - start < boot_info->counter_hz / 500) {
		ERR(SYS(L4_SYS_SIGNAL, ping, 0), OK);
		ERR(SYS(L4_SYS_WAIT, pong, 0), OK);
	}
	EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[1], 67);
	EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[2], 1);
	shared[1] = 0;
	ERR(SYS(L4_SYS_SIGNAL, ping, 0), OK);
	helper_join(other);
	config_write(PCI_COMMAND, 0);
	ERR(slot_delete(irq), OK);
	ERR(slot_revoke(untyped), OK);
}
