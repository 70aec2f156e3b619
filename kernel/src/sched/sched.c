// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fixed-priority scheduling, round robin inside a priority.
 *
 * Benno scheduling: every thread on a ready queue can run, the running thread is on none. A thread can run
 * when its state is THREAD_RUN and its SchedContext has budget left.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>

static inline bool can_run(const struct thread *t)
{
	return t->state == THREAD_RUN && t->sc && t->sc->remaining;
}

static void enqueue(struct thread *t, bool head)
{
	struct cpu *cpu = this_cpu();
	struct list *q = &cpu->ready[t->priority];

	if (head)
		list_add_head(q, &t->link);
	else
		list_add_tail(q, &t->link);
	t->queued = true;
	cpu->ready_bits[t->priority / 64] |= BIT(t->priority % 64);
	if (t->priority > cpu->ready_top)
		cpu->ready_top = t->priority;
}

static int highest_ready(const struct cpu *cpu)
{
	for (int w = L4_PRIORITIES / 64 - 1; w >= 0; w--)
		if (cpu->ready_bits[w])
			return w * 64 + 63 - __builtin_clzl(cpu->ready_bits[w]);
	return -1;
}

static void dequeue(struct thread *t)
{
	struct cpu *cpu = this_cpu();
	/* Alone: both links are the queue's head, which also tells under which priority it was queued. */
	struct list *q = t->link.next == t->link.prev ? t->link.next : NULL;

	list_remove(&t->link);
	t->queued = false;
	if (q) {
		int p = q - cpu->ready;

		cpu->ready_bits[p / 64] &= ~BIT(p % 64);
		if (p == cpu->ready_top)
			cpu->ready_top = highest_ready(cpu);
	}
}

static void make_ready(struct thread *t)
{
	struct cpu *cpu = this_cpu();

	if (t == cpu->current || t->queued || !can_run(t))
		return;
	enqueue(t, false);
	if (t->priority > cpu->current->priority || !can_run(cpu->current))
		cpu->need_resched = true;
	else if (t->priority == cpu->current->priority && cpu->slice_end == NEVER) {
		/* The running thread has a peer now, so its slice starts. */
		cpu->slice_end = arch_counter() + arch_counter_hz() / 1000000 * L4_TIMESLICE_US;
		timer_program();
	}
}

void sched_wake(struct thread *t)
{
	t->state = THREAD_RUN;
	make_ready(t);
}

void sched_block(struct thread *t, u8 state)
{
	t->state = state;
	if (t->queued)
		dequeue(t);
	if (t == this_cpu()->current)
		this_cpu()->need_resched = true;
}

void sched_requeue(struct thread *t)
{
	if (t->queued)
		dequeue(t);
	make_ready(t);
	if (t == this_cpu()->current)
		this_cpu()->need_resched = true;
}

void sched_yield(void)
{
	this_cpu()->yield = true;
	this_cpu()->need_resched = true;
}

/* Take what current has used since it was switched to from its budget. */
void sched_charge(struct thread *t)
{
	struct sched_context *sc = t->sc;
	u64 now, used;

	if (!sc || !sc->limited)
		return;
	now = arch_counter();
	used = now - this_cpu()->switched_at;
	this_cpu()->switched_at = now;
	if (sc->remaining == sc->budget)
		sc->refill_at = now - used + sc->period;
	sc->remaining -= min_u64(used, sc->remaining);
	if (!sc->remaining && !sc->timer.when)
		timer_set(&sc->timer, sc->refill_at);
}

/* Time at which `to` must be interrupted: end of its budget, or of its slice when it has peers. */
static void start_slice(struct cpu *cpu, struct thread *to)
{
	struct sched_context *sc = to->sc;
	u64 end = NEVER;

	if (sc && sc->limited) {
		cpu->switched_at = arch_counter();
		end = cpu->switched_at + sc->remaining;
	}
	if (to->priority >= 0 && !list_empty(&cpu->ready[to->priority]))
		end = min_u64(end, arch_counter() + arch_counter_hz() / 1000000 * L4_TIMESLICE_US);
	if (end != cpu->slice_end) {
		cpu->slice_end = end;
		timer_program();
	}
}

static void switch_to(struct cpu *cpu, struct thread *to)
{
	struct thread *from = cpu->current;

	if (to->queued)
		dequeue(to);
	if (from != to) {
		event(EVENT_THREAD_SWITCH, (u64)from, (u64)to);
		cpu->current = to;
		arch_switch(cpu, from, to);
	}
	start_slice(cpu, to);
}

bool sched_may_switch(struct thread *to)
{
	return can_run(to) && to->priority > this_cpu()->ready_top;
}

void sched_switch(struct thread *to)
{
	struct cpu *cpu = this_cpu();

	sched_charge(cpu->current);
	cpu->need_resched = false;
	switch_to(cpu, to);
}

void schedule(void)
{
	struct cpu *cpu = this_cpu();
	struct thread *t = cpu->current;
	int p;

	cpu->need_resched = false;
	sched_charge(t);
	if (t != &cpu->idle && can_run(t) && !t->queued)
		enqueue(t, !cpu->yield);
	cpu->yield = false;
	p = cpu->ready_top;
	switch_to(cpu, p < 0 ? &cpu->idle : container_of(cpu->ready[p].next, struct thread, link));
}

static void refill(struct timer *timer)
{
	struct sched_context *sc = container_of(timer, struct sched_context, timer);

	sc->remaining = sc->budget;
	if (sc->thread)
		make_ready(sc->thread);
}

void sched_context_init(void *memory, u8 size_bits)
{
	struct sched_context *sc = memory;

	list_init(&sc->timer.link);
	sc->timer.fire = refill;
}

error_t sched_context_configure(struct sched_context *sc, u64 budget_us, u64 period_us)
{
	u64 per_us = arch_counter_hz() / 1000000;

	if (sc->thread == this_cpu()->current)
		sched_charge(sc->thread);
	timer_cancel(&sc->timer);
	sc->limited = budget_us < period_us;
	sc->budget = sc->remaining = budget_us * per_us;
	sc->period = period_us * per_us;
	if (sc->thread)
		sched_requeue(sc->thread);
	return L4_ERR_OK;
}

/* Give a SchedContext to a thread that has none, or to nobody. */
void sched_context_move(struct sched_context *sc, struct thread *to)
{
	struct thread *from = sc->thread;

	if (from) {
		if (from == this_cpu()->current) {
			sched_charge(from);
			this_cpu()->need_resched = true;
		}
		from->sc = NULL;
		if (from->queued)
			dequeue(from);
	}
	sc->thread = to;
	if (to) {
		to->sc = sc;
		make_ready(to);
	}
}

void sched_context_destroy(struct object *o)
{
	struct sched_context *sc = (struct sched_context *)o;

	timer_cancel(&sc->timer);
	if (sc->thread)
		sched_context_move(sc, NULL);
	for (struct reply *r = sc->replies; r; r = r->below)
		r->sc = NULL;
}
