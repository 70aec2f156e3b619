/* SPDX-License-Identifier: GPL-2.0-only */
/* Delivery of a level-triggered interrupt, by the serial line of QEMU's virt board: its transmitter is always
 * empty. */
#include "harness.h"

#define UART_PADDR 0x10000000UL
#define UART_LINE  10
#define IER        1
#define IIR        2
#define IER_THRI   2

#define CONTROL L4_ROOT_SLOT_CONTROL

static volatile u8 *const uart = (volatile u8 *)TEST_VADDR;

static u64 map_uart(void)
{
	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *b = &boot_info->untyped[i];
		u64 f = slots_new(2);

		if (b->kind != L4_MEM_DEVICE || b->paddr != UART_PADDR)
			continue;
		MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, L4_PAGE_BITS, f, 1));
		MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, f, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE, 1));
		return L4_ROOT_SLOT_UNTYPED + i;
	}
	CHECK(!"a device Untyped with the serial line");
	finish_test();
}

static void wait_a_while(void)
{
	u64 start = l4_counter();

	while (l4_counter() - start < boot_info->counter_hz / 100)
		arch_relax();
}

TEST(plic_level_is_delivered_until_acknowledged)
{
	u64 untyped = map_uart(), irq = slot_new(), n = obj_new(L4_TYPE_NOTIFICATION, 0);
	u64 badged = cap_mint(n, L4_RIGHT_WRITE, 0x20);

	MUST(INV(CONTROL, L4_CONTROL_IRQ_LINE, UART_LINE, 1, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, badged));
	uart[IER] = IER_THRI;
	/* masked until the first ACK */
	wait_a_while();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	for (int i = 0; i < 5; i++) {
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		EQ(SYS(L4_SYS_WAIT, n, 0).badge, 0x20);
		/* no further one before the ACK, though the line falls and rises */
		EQ(uart[IIR] & 0xf, 2);
		uart[IER] = 0;
		uart[IER] = IER_THRI;
		wait_a_while();
		ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	}
	/* deleted between delivery and ACK, and made again: the interrupt is not lost */
	ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), OK);
	wait_a_while();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, badged));
	wait_a_while();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	EQ(SYS(L4_SYS_WAIT, n, 0).badge, 0x20);
	uart[IIR];
	uart[IER] = 0;
	/* its line is low now: ACK brings nothing */
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	wait_a_while();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	/* without an IrqHandler the line is masked, and a new one starts masked */
	ERR(slot_delete(irq), OK);
	uart[IER] = IER_THRI;
	MUST(INV(CONTROL, L4_CONTROL_IRQ_LINE, UART_LINE, 1, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, badged));
	wait_a_while();
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	EQ(SYS(L4_SYS_WAIT, n, 0).badge, 0x20);
	uart[IIR];
	uart[IER] = 0;
	ERR(slot_delete(irq), OK);
	ERR(slot_revoke(untyped), OK);
}

TEST(plic_lines)
{
	u64 slot = slot_new();

	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, 0, 1, L4_ROOT_SLOT_CNODE, slot), RANGE);
	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, 256, 1, L4_ROOT_SLOT_CNODE, slot), RANGE);
	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, ~0UL, 1, L4_ROOT_SLOT_CNODE, slot), RANGE);
	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, 1UL << 32 | 10, 1, L4_ROOT_SLOT_CNODE, slot), RANGE);
}
