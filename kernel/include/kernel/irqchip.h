/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contract of an interrupt controller: plat/irqchip/<name>.c provides all of it. irq is a number below IRQ_MAX that the
 * driver chooses for a source and passes to irq_deliver(); between delivery and ACK the kernel keeps it masked.
 */
#ifndef KERNEL_IRQCHIP_H
#define KERNEL_IRQCHIP_H

#include <kernel/types.h>

struct cpu;

/* Where an interrupt comes from, and the CPU that takes it. A message-signalled one has no line. */
struct irq_source {
	u32 line;
	bool level;
	struct cpu *cpu;
};

/* The irq of a line; L4_ERR_RANGE if there is no such line. Must hold under speculation (index_nospec()). */
error_t irqchip_line(u64 line, bool level, u64 *irq);

/*
 * Mask or unmask a line. Unmasking one that was delivered completes it. A level-triggered line is masked between
 * delivery and ACK, an edge-triggered one only if it comes again.
 */
void irqchip_mask(u64 irq, const struct irq_source *s, bool masked);

/*
 * The line goes to another CPU from now on, masked or not, delivered or not. What the earlier CPU has taken already is
 * still delivered there; nothing is lost. L4_ERR_RANGE, and nothing has changed: the controller does not reach that CPU.
 */
error_t irqchip_route(u64 irq, const struct irq_source *s, const struct cpu *to);

/*
 * Message-signalled interrupts: irqs [first, last] (none: last < first), and where a device writes what to interrupt
 * a CPU by one.
 */
u64 irqchip_msi_first(void);
u64 irqchip_msi_last(void);
error_t irqchip_msi(u64 irq, const struct cpu *to, u64 *address, u64 *data);

/* While paused this CPU takes no messages. Lines may be held back, too; the timer must not. */
void irqchip_msi_pause(bool on);

#endif
