// SPDX-License-Identifier: GPL-2.0-only
/*
 * Timers of one CPU: a list sorted by time (there are few: replenishments and vCPU timers) and one hardware
 * timer, set for the earliest of the list and the end of the current slice.
 */
#include <kernel/arch.h>

void timer_program(void)
{
	struct cpu *cpu = this_cpu();
	u64 when = cpu->timed ? cpu->slice_end : NEVER;

	if (!list_empty(&cpu->timers))
		when = min_u64(when, container_of(cpu->timers.next, struct timer, link)->when);
	/* Setting hardware is slow; an interrupt that comes too early does no harm. */
	if (when < cpu->programmed) {
		cpu->programmed = when;
		arch_timer_set(when);
	}
}

void timer_cancel(struct timer *t)
{
	list_remove(&t->link);
	t->when = 0;
}

void timer_set(struct timer *t, u64 when)
{
	struct cpu *cpu = this_cpu();
	struct list *at = &cpu->timers;

	list_remove(&t->link);
	t->when = when ? when : 1;
	while (at->prev != &cpu->timers && container_of(at->prev, struct timer, link)->when > t->when)
		at = at->prev;
	list_insert_before(at, &t->link);
	if (cpu->timers.next == &t->link)
		timer_program();
}

void timer_interrupt(void)
{
	struct cpu *cpu = this_cpu();
	u64 now = arch_counter();

	cpu->programmed = NEVER;
	while (!list_empty(&cpu->timers)) {
		struct timer *t = container_of(cpu->timers.next, struct timer, link);

		if (t->when > now)
			break;
		timer_cancel(t);
		if (t->kind == TIMER_VCPU)
			vcpu_timer_fired(t);
		else if (t->kind == TIMER_IRQ_PAUSE)
			irq_pause_over();
		else
			sched_context_refill(t);
	}
	/* What has ended, budget or slice, schedule() finds out. */
	if (cpu->timed && cpu->slice_end <= now)
		cpu->need_resched = true;
	timer_program();
}
