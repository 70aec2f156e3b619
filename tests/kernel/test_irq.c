/* SPDX-License-Identifier: GPL-2.0-only */
/* IrqHandler and the Control operations that make them; delivery is tested with a device of the board. */
#include "harness.h"

#define CONTROL                 L4_ROOT_SLOT_CONTROL
#define LINE(line, level, slot) INV(CONTROL, L4_CONTROL_IRQ_LINE, line, level, L4_ROOT_SLOT_CNODE, slot)

TEST(irq_line_errors)
{
	u64 slot = slots_new(2), n = obj_new(L4_TYPE_NOTIFICATION, 0);
	u64 weak = cap_copy(L4_ROOT_SLOT_CNODE, L4_RIGHT_READ);

	ERR(LINE(4000, 0, slot), RANGE);
	ERR(LINE(~0UL, 0, slot), RANGE);
	ERR(LINE(ARCH_FREE_LINE, 0, 0), RANGE);
	ERR(LINE(ARCH_FREE_LINE, 0, 1UL << L4_ROOT_CNODE_BITS), RANGE);
	ERR(LINE(ARCH_FREE_LINE, 0, n), OCCUPIED);
	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, 4000, slot), CAP);
	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, n, slot), TYPE);
	ERR(INV(CONTROL, L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, weak, slot), RIGHTS);
	ERR(INV(cap_copy(CONTROL, L4_RIGHT_READ), L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, L4_ROOT_SLOT_CNODE, slot),
	    RIGHTS);
	EQ(slot_type_error(slot), L4_ERR_CAP);
	ERR(LINE(ARCH_FREE_LINE, 0, slot), OK);
	ERR(LINE(ARCH_FREE_LINE, 0, slot + 1), BUSY);
	ERR(slot_delete(slot), OK);
	ERR(LINE(ARCH_FREE_LINE, 1, slot + 1), OK);
}

TEST(irq_handler_binding)
{
	u64 irq = slot_new(), n = obj_new(L4_TYPE_NOTIFICATION, 0), m = obj_new(L4_TYPE_NOTIFICATION, 0);
	u64 weak;

	MUST(LINE(ARCH_FREE_LINE, 0, irq));
	weak = cap_copy(irq, L4_RIGHT_READ);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), UNBOUND);
	ERR(INV(weak, L4_IRQ_HANDLER_ACK), UNBOUND);
	ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), UNBOUND);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, 4000), CAP);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, irq), TYPE);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, cap_copy(n, L4_RIGHT_READ)), RIGHTS);
	ERR(INV(weak, L4_IRQ_HANDLER_BIND, n), RIGHTS);
	ERR(INV(weak, L4_IRQ_HANDLER_UNBIND), RIGHTS);
	ERR(INV(irq, 5), OP);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, n), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, m), BUSY);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	/* a driver has a capability that allows ACK; it cannot change where the interrupt is delivered */
	ERR(INV(weak, L4_IRQ_HANDLER_ACK), OK);
	ERR(INV(weak, L4_IRQ_HANDLER_BIND, m), RIGHTS);
	ERR(INV(weak, L4_IRQ_HANDLER_UNBIND), RIGHTS);
	ERR(INV(cap_copy(irq, L4_RIGHT_WRITE), L4_IRQ_HANDLER_ACK), RIGHTS);
	ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, m), OK);
	ERR(slot_delete(m), OK); /* deleting the Notification unbinds it */
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), UNBOUND);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, n), OK);
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
}

TEST(irq_msi)
{
	u64 first = slots_new(300), made = 0, n = obj_new(L4_TYPE_NOTIFICATION, 0);
	u64 weak = cap_copy(L4_ROOT_SLOT_CNODE, L4_RIGHT_READ), last_data = ~0UL, address = 0;

#define MSI(cnode, slot) INV(CONTROL, L4_CONTROL_IRQ_MSI, cnode, slot)
	ERR(MSI(4000, first), CAP);
	ERR(MSI(n, first), TYPE);
	ERR(MSI(weak, first), RIGHTS);
	ERR(MSI(L4_ROOT_SLOT_CNODE, 0), RANGE);
	ERR(MSI(L4_ROOT_SLOT_CNODE, n), OCCUPIED);
	ERR(INV(cap_copy(CONTROL, L4_RIGHT_READ), L4_CONTROL_IRQ_MSI, L4_ROOT_SLOT_CNODE, first), RIGHTS);
	for (; made < 300; made++) {
		struct sys r = MSI(L4_ROOT_SLOT_CNODE, first + made);

		if (r.error) {
			EQ(r.error, L4_ERR_MEMORY);
			break;
		}
		CHECK(r.m[1] != last_data || r.m[0] != address);
		address = r.m[0];
		last_data = r.m[1];
	}
	print("# %lu message-signalled interrupts\n", made);
	EQ(slot_type_error(first + made), L4_ERR_CAP);
	if (!made) /* the board has none */
		return;
	CHECK(made >= 8 && made < 300);
	/* one that was deleted can be made again */
	ERR(slot_delete(first + 2), OK);
	ERR(MSI(L4_ROOT_SLOT_CNODE, first + 2), OK);
	ERR(INV(first, L4_IRQ_HANDLER_BIND, n), OK);
	ERR(INV(first, L4_IRQ_HANDLER_ACK), OK);
}
