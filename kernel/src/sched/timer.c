// SPDX-License-Identifier: GPL-2.0-only
/* The list of timers, and the hardware timer. See timer.h. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/timer.h>

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
	assert(kernel_locked());
	list_remove(&t->link);
	t->when = 0;
}

/* Insert in order of time: among equals, the latest last. */
void timer_set(struct timer *t, u64 when)
{
	struct cpu *cpu = this_cpu();
	struct list *at = &cpu->timers;

	assert(kernel_locked());
	list_remove(&t->link);
	t->when = when ? when : 1;
	while (at->prev != &cpu->timers && container_of(at->prev, struct timer, link)->when > t->when)
		at = at->prev;
	list_insert_before(at, &t->link);
	if (cpu->timers.next == &t->link)
		timer_program();
}

struct timer *timer_take_expired(u64 now)
{
	struct cpu *cpu = this_cpu();
	struct timer *t = container_of(cpu->timers.next, struct timer, link);

	if (list_empty(&cpu->timers) || t->when > now)
		return NULL;
	timer_cancel(t);
	return t;
}
