/* SPDX-License-Identifier: GPL-2.0-only */
/* Interrupts as objects: a fixed table, one entry for each vector that user level may handle. */
#ifndef KERNEL_IRQ_H
#define KERNEL_IRQ_H

#include <kernel/irqchip.h>
#include <kernel/object.h>

#define IRQ_MAX 256

struct irq {
	u32 refs;
	bool msi;
	bool masked;  /* since it was delivered, until ACK */
	bool latched; /* came again while masked */
	u8 messages;  /* that came again */
	struct irq_source source;
	u32 taken_cpu;     /* number of the CPU that took the last one */
	u64 taken;         /* that came while it was bound */
	struct slot bound; /* held: the Notification; empty: not bound */
};

void irq_deliver(u64 irq);
bool irq_taken(u64 irq);
void irq_create(u64 irq, u32 line, bool level, bool msi, struct slot *parent, struct slot *dst);
void irq_hold(u64 irq);    /* one more capability */
void irq_release(u64 irq); /* one less */
void irq_lost(struct slot *held);
void irq_pause_over(void); /* the timer of this CPU's pause has expired */

#endif
