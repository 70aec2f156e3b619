// SPDX-License-Identifier: GPL-2.0-only
/*
 * IrqHandler: one interrupt, delivered as a signal. After delivery it is masked until ACK. An edge or a message that
 * comes meanwhile is latched and delivered at the ACK. Further ones carry no information, and must not take the CPU: an
 * edge is masked in hardware then; messages cannot be, so the CPU takes none of them for a while when there are many.
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/irq.h>
#include <kernel/irqchip.h>
#include <kernel/notification.h>
#include <kernel/timer.h>

#define MESSAGES_MAX 64 /* of one interrupt that may come until ACK before the pause */
#define PAUSE_US     1000

static struct irq irqs[IRQ_MAX];

static struct timer pause = { .link = { &pause.link, &pause.link }, .kind = TIMER_IRQ_PAUSE };

void irq_pause_over(void) { irqchip_msi_pause(false); }

bool irq_taken(u64 irq) { return irqs[irq].refs; }

void irq_hold(u64 irq) { irqs[irq].refs++; }

/* Make the first capability of an interrupt that has none. */
void irq_create(u64 irq, u32 line, bool level, bool msi, struct slot *parent, struct slot *dst)
{
	irqs[irq] = (struct irq){ .refs = 1, .line = line, .level = level, .msi = msi, .masked = true };
	dst->type = L4_TYPE_IRQ_HANDLER;
	dst->rights = L4_RIGHT_ALL;
	dst->object = irq;
	slot_insert_child(parent, dst);
}

static void mask(u64 irq, bool masked)
{
	irqs[irq].masked = masked;
	if (!irqs[irq].msi && (irqs[irq].level || masked == !irqs[irq].bound.type))
		irqchip_mask(irq, irqs[irq].line, irqs[irq].level, masked);
}

void irq_release(u64 irq)
{
	if (--irqs[irq].refs)
		return;
	slot_drop(&irqs[irq].bound);
	mask(irq, true);
}

void irq_lost(struct slot *held) { mask(container_of(held, struct irq, bound) - irqs, true); }

/* The interrupt came again before its ACK. */
static void latch(u64 irq, struct irq *q)
{
	q->latched = true;
	if (!q->msi) {
		irqchip_mask(irq, q->line, q->level, true);
	} else if (++q->messages >= MESSAGES_MAX) {
		q->messages = 0;
		irqchip_msi_pause(true);
		timer_set(&pause, arch_counter() + arch_counter_hz() / 1000000 * PAUSE_US);
	}
}

/*
 * An interrupt was raised: signal the bound Notification and mask it, or latch it. Called by the controller's driver.
 */
void irq_deliver(u64 irq)
{
	struct irq *q = &irqs[irq];

	if (!q->bound.type)
		return;
	if (q->masked) {
		latch(irq, q);
		return;
	}
	mask(irq, true);
	notification_signal_cap(&q->bound);
}

static error_t bind(struct invocation *i, struct irq *q)
{
	struct slot *cap;
	error_t error = cap_lookup_type(i->caller, i->arg.irq_handler_bind.notification_cap, L4_TYPE_NOTIFICATION,
	                                L4_RIGHT_WRITE, &cap);

	if (error)
		return error;
	if (q->bound.type)
		return L4_ERR_BUSY;
	slot_hold(&q->bound, cap, HELD_IRQ);
	q->masked = true;
	q->latched = false;
	q->messages = 0;
	return L4_ERR_OK;
}

error_t irq_handler_invoke(struct invocation *i)
{
	u64 irq = i->slot->object;
	struct irq *q = &irqs[irq];

	if (i->op > L4_IRQ_HANDLER_UNBIND)
		return L4_ERR_OP;
	/* ACK needs READ only: a driver that handles an interrupt cannot redirect it. */
	if (!(i->slot->rights & (i->op == L4_IRQ_HANDLER_ACK ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (i->op == L4_IRQ_HANDLER_BIND)
		return bind(i, q);
	if (!q->bound.type)
		return L4_ERR_UNBOUND;
	if (i->op == L4_IRQ_HANDLER_UNBIND) {
		slot_drop(&q->bound);
		mask(irq, true);
		return L4_ERR_OK;
	}
	if (!q->msi)
		irqchip_mask(irq, q->line, q->level, false);
	q->masked = false;
	q->messages = 0;
	if (q->latched) {
		q->latched = false;
		irq_deliver(irq);
	}
	return L4_ERR_OK;
}
