// SPDX-License-Identifier: GPL-2.0-only
/*
 * IrqHandler: one interrupt, delivered as a signal. After delivery it is masked until ACK. An edge or a message that
 * comes meanwhile is latched and delivered at the ACK. Further ones carry no information, and must not take the CPU: an
 * edge is masked in hardware then; messages cannot be, so the CPU takes none of them for a while when there are many.
 *
 * All of this is done with the lock. An interrupt goes to one CPU; any CPU masks, acknowledges, moves or deletes it. So
 * one that a CPU has taken may find, when that CPU has the lock, that it goes elsewhere by now (it is delivered all the
 * same), that it is masked (latched), that it is not bound (dropped: it was masked since), or that it is another
 * object's (which gets a signal too many, as it may from its device).
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/irq.h>
#include <kernel/irqchip.h>
#include <kernel/lock.h>
#include <kernel/notification.h>
#include <kernel/timer.h>

#define MESSAGES_MAX 64 /* of one interrupt that may come until ACK before the pause */
#define PAUSE_US     1000

/* Debuggers read it (inspect/placement.py). */
static struct irq irqs[IRQ_MAX];

void irq_pause_over(void) { irqchip_msi_pause(false); }

bool irq_taken(u64 irq) { return irqs[irq].refs; }

void irq_hold(u64 irq) { irqs[irq].refs++; }

/* Make the first capability of an interrupt that has none. */
void irq_create(u64 irq, u32 line, bool level, bool msi, struct slot *parent, struct slot *dst)
{
	irqs[irq] = (struct irq){ .refs = 1, .source = { line, level, cpus[0] }, .msi = msi, .masked = true };
	dst->type = L4_TYPE_IRQ_HANDLER;
	dst->rights = L4_RIGHT_ALL;
	dst->object = irq;
	slot_insert_child(parent, dst);
}

static void mask(u64 irq, bool masked)
{
	irqs[irq].masked = masked;
	if (!irqs[irq].msi && (irqs[irq].source.level || masked == !irqs[irq].bound.type))
		irqchip_mask(irq, &irqs[irq].source, masked);
}

void irq_release(u64 irq)
{
	if (--irqs[irq].refs)
		return;
	slot_drop(&irqs[irq].bound);
	mask(irq, true);
	/* The next object of this line finds it where every line is at first. */
	if (!irqs[irq].msi && irqs[irq].source.cpu != cpus[0])
		irqchip_route(irq, &irqs[irq].source, cpus[0]);
}

void irq_lost(struct slot *held) { mask(container_of(held, struct irq, bound) - irqs, true); }

/* The interrupt came again before its ACK. */
static void latch(u64 irq, struct irq *q)
{
	q->latched = true;
	if (!q->msi) {
		irqchip_mask(irq, &q->source, true);
	} else if (++q->messages >= MESSAGES_MAX) {
		q->messages = 0;
		irqchip_msi_pause(true);
		timer_set(&this_cpu()->irq_pause, arch_counter() + arch_counter_hz() / 1000000 * PAUSE_US);
	}
}

static void deliver(u64 irq, struct irq *q)
{
	mask(irq, true);
	notification_signal_cap(&q->bound);
}

/*
 * An interrupt was raised: signal the bound Notification and mask it, or latch it. Called by the controller's driver.
 */
void irq_deliver(u64 irq)
{
	struct irq *q = &irqs[irq];

	if (!q->bound.type)
		return;
	q->taken++;
	q->taken_cpu = this_cpu()->number;
	if (q->masked)
		latch(irq, q);
	else
		deliver(irq, q);
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

static error_t route(struct invocation *i, u64 irq, struct irq *q)
{
	u64 n = i->arg.irq_handler_route.cpu;
	struct cpu *to;
	error_t error;

	if (n >= cpu_count)
		return L4_ERR_RANGE;
	to = cpus[index_nospec(n, cpu_count)];
	if (q->msi)
		error = irqchip_msi(irq, to, &i->result.irq_handler_route.address, &i->result.irq_handler_route.data);
	else
		error = irqchip_route(irq, &q->source, to);
	if (!error)
		q->source.cpu = to;
	return error;
}

static error_t acknowledge(struct irq *q)
{
	u64 irq = q - irqs;

	if (!q->bound.type)
		return L4_ERR_UNBOUND;
	if (!q->msi)
		irqchip_mask(irq, &q->source, false);
	q->masked = false;
	q->messages = 0;
	if (q->latched) {
		q->latched = false;
		deliver(irq, q);
	}
	return L4_ERR_OK;
}

error_t irq_handler_invoke(struct invocation *i)
{
	u64 irq = i->slot->object;
	struct irq *q = &irqs[irq];
	bool reads = i->op == L4_IRQ_HANDLER_ACK || i->op == L4_IRQ_HANDLER_INFO;

	if (i->op > L4_IRQ_HANDLER_INFO)
		return L4_ERR_OP;
	/* ACK needs READ only: a driver that handles an interrupt cannot redirect it. */
	if (!(i->slot->rights & (reads ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	switch (i->op) {
	case L4_IRQ_HANDLER_BIND:
		return bind(i, q);
	case L4_IRQ_HANDLER_ACK:
		return acknowledge(q);
	case L4_IRQ_HANDLER_ROUTE:
		return route(i, irq, q);
	case L4_IRQ_HANDLER_INFO:
		i->result.irq_handler_info.cpu = q->source.cpu->number;
		i->result.irq_handler_info.taken = q->taken;
		i->result.irq_handler_info.taken_cpu = q->taken_cpu;
		return L4_ERR_OK;
	default:
		if (!q->bound.type)
			return L4_ERR_UNBOUND;
		slot_drop(&q->bound);
		mask(irq, true);
		return L4_ERR_OK;
	}
}
