// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fixed-priority scheduling, round robin inside a priority.
 *
 * Benno scheduling: every thread on a ready queue can run, the running thread is on none. A thread can run when its
 * state is THREAD_RUN and its SchedContext has budget left.
 *
 * Round robin: a thread goes to the head of its queue when it is preempted, and keeps the rest of its slice; in every
 * other case it goes to the tail. So no thread runs for more than one slice before its peers have run. Slices count
 * while there are peers.
 *
 * Budgets: a constant-bandwidth server, see start_period().
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/hold.h>
#include <kernel/sched.h>
#include <kernel/vcpu.h>

static inline bool can_run(const struct thread *t) { return t->state == THREAD_RUN && t->sc && t->sc->remaining > 0; }

/* Put a thread that can run on its CPU's queue of its priority. */
static inline __attribute__((always_inline)) void enqueue(struct cpu *cpu, struct thread *t, bool head)
{
	u32 p = t->priority;
	struct list *q = &cpu->ready[p];

	assert(kernel_locked());
	t->cpu = cpu;
	if (head)
		list_add_head(q, &t->link);
	else
		list_add_tail(q, &t->link);
	t->queued = true;
	cpu->ready_bits[p / 64] |= BIT(p % 64);
	if ((int)p > cpu->ready_top)
		cpu->ready_top = p;
}

/* Not inlined, so that sched_dequeue() saves no registers. */
static noinline void find_ready_top(struct cpu *cpu)
{
	int w = L4_PRIORITIES / 64 - 1;

	while (w >= 0 && !cpu->ready_bits[w])
		w--;
	cpu->ready_top = w < 0 ? -1 : w * 64 + 63 - __builtin_clzl(cpu->ready_bits[w]);
}

void sched_dequeue(struct thread *t)
{
	struct cpu *cpu = t->cpu;
	/* Alone: both links are the queue's head, which also tells under which priority it was queued. */
	struct list *q = t->link.next == t->link.prev ? t->link.next : NULL;

	assert(t->queued && kernel_locked());
	list_unlink(&t->link);
	t->queued = false;
	if (q) {
		u32 p = q - cpu->ready;

		cpu->ready_bits[p / 64] &= ~BIT(p % 64);
		if ((int)p == cpu->ready_top)
			find_ready_top(cpu);
	}
}

/* A function of its own, so that charge_timed() saves no registers. */
static noinline void charge_budget(struct cpu *cpu, struct sched_context *sc, u64 used)
{
	/* Waiting at the lock uses the budget, since nobody else had this CPU, but is no work of the thread's. */
	sc->used += used - min_u64(used, cpu->waited);
	cpu->waited = 0;
	sc->waits += cpu->current->state != THREAD_RUN;
	sc->remaining -= used;
	if (sc->remaining > 0)
		return;
	cpu->timed = NULL;
	timer_set(&sc->timer, sc->deadline);
}

/* Charge the current thread for the time since the last charge: to its budget and its slice. */
static noinline void charge_timed(struct cpu *cpu, struct sched_context *sc)
{
	u64 now, used;

	assert(sc == cpu->current->sc && sc->remaining > 0 && kernel_locked());
	now = arch_counter();
	/* At least one tick, or a thread that runs only between two ticks would never be charged. */
	used = now > cpu->charged_at ? now - cpu->charged_at : 1;
	cpu->charged_at = now;
	if (cpu->sliced) {
		sc->slice -= min_u64(used, sc->slice);
		if (!sc->slice)
			cpu->yield = true;
	}
	if (!sc->unlimited)
		charge_budget(cpu, sc, used);
}

static inline void charge(struct cpu *cpu)
{
	if (unlikely(cpu->timed))
		charge_timed(cpu, cpu->timed);
}

/*
 * The rule of the constant-bandwidth server, at each start: with more left than its share of the time until the
 * deadline, a SchedContext gets a new period, which starts now. So in any time L it runs for at most
 * L * budget / period + budget * (1 - budget / period), which is never more than its budget at a stretch.
 */
static void start_period(struct sched_context *sc, u64 now)
{
	unsigned __int128 left = (unsigned __int128)sc->remaining * sc->period;

	assert(sc->remaining > 0 && !sc->timer.when);
	if (now >= sc->deadline || left > (unsigned __int128)(sc->deadline - now) * sc->budget) {
		sc->remaining = sc->budget;
		sc->deadline = now + sc->period;
	}
}

/* The time of its budget ends then; NEVER: it has no limit. */
static inline void count_from(struct cpu *cpu, struct sched_context *sc, u64 now, u64 end)
{
	if (cpu->sliced) {
		if (!sc->slice)
			sc->slice = arch_counter_hz() / 1000000 * L4_TIMESLICE_US;
		end = min_u64(end, now + sc->slice);
	}
	cpu->timed = sc;
	cpu->charged_at = now;
	cpu->slice_end = end;
	timer_program();
}

/* Functions of their own, so that a switch of threads saves no registers for them. */
static noinline void count_budget(struct cpu *cpu, struct sched_context *sc)
{
	u64 now = arch_counter();

	start_period(sc, now);
	count_from(cpu, sc, now, now + sc->remaining);
}

static noinline void count_slice(struct cpu *cpu, struct sched_context *sc)
{
	count_from(cpu, sc, arch_counter(), NEVER);
}

/* From now on the current thread's time counts, if it has a limit or peers. */
static inline void start_clock(struct cpu *cpu)
{
	struct thread *t = cpu->current;
	struct sched_context *sc = t->sc;

	cpu->timed = NULL;
	if (!sc)
		return;
	cpu->sliced = !list_empty(&cpu->ready[t->priority]);
	if (unlikely(!sc->unlimited))
		count_budget(cpu, sc);
	else if (cpu->sliced)
		count_slice(cpu, sc);
}

/*
 * Where there are several CPUs, a vCPU's page counts the time for which it could run and did not: from when it is queued
 * and somebody else runs until it runs, or can run no more. The guest's other vCPUs can see that it is preempted.
 */
static inline __attribute__((always_inline)) void note_ready(struct thread *t)
{
	struct vcpu *v = t->vcpu;

	if (!v || v->ready_since)
		return;
	v->ready_since = arch_counter();
	WRITE_ONCE(*v->preempted, 1);
}

static inline __attribute__((always_inline)) void note_waited(struct thread *t)
{
	struct vcpu *v = t->vcpu;
	u64 now;

	if (!v || !v->ready_since)
		return;
	now = arch_counter();
	/* Another CPU has noted it, whose counter may be ahead of this one's: the sum never falls. */
	if (now > v->ready_since)
		WRITE_ONCE(v->page->stolen, READ_ONCE(v->page->stolen) + now - v->ready_since);
	v->ready_since = 0;
	WRITE_ONCE(*v->preempted, 0);
}

__cold void sched_stop_queued(struct thread *t)
{
	sched_dequeue(t);
	note_waited(t);
}

/* To another CPU's queue: that CPU looks whether it runs at once, or is the current thread's first peer. */
static __cold void enqueue_elsewhere(struct cpu *cpu, struct thread *t)
{
	enqueue(cpu, t, false);
	note_ready(t);
	if (t->priority < cpu->current->priority && can_run(cpu->current))
		return;
	cpu->need_resched = true;
	cpu_kick(cpu);
}

/* The current thread has its first peer, so its slice counts now. */
static inline void start_slice(struct cpu *cpu)
{
	charge(cpu);
	if (can_run(cpu->current))
		start_clock(cpu);
	else
		cpu->need_resched = true;
}

static inline bool is_first_peer(const struct cpu *cpu, const struct thread *t)
{
	return t->priority == cpu->current->priority && !(cpu->timed && cpu->sliced);
}

/* With several CPUs: it does not run at once. */
static noinline __cold void note_queued(struct cpu *cpu, struct thread *t)
{
	note_ready(t);
	if (is_first_peer(cpu, t))
		start_slice(cpu);
}

/* Also starts the clock of the current thread's slice, if t is its first peer. */
void sched_make_ready(struct thread *t)
{
	struct cpu *cpu = this_cpu();

	if (t == t->cpu->current || t->queued || !can_run(t))
		return;
	if (unlikely(t->sc->cpu != cpu)) {
		enqueue_elsewhere(t->sc->cpu, t);
		return;
	}
	enqueue(cpu, t, false);
	if (t->priority > cpu->current->priority || !can_run(cpu->current))
		cpu->need_resched = true;
	else if (unlikely(cpu->many))
		note_queued(cpu, t);
	else if (is_first_peer(cpu, t))
		start_slice(cpu);
}

void sched_wake(struct thread *t)
{
	thread_set_state(t, THREAD_RUN);
	sched_make_ready(t);
}

void sched_block(struct thread *t, u8 state)
{
	thread_set_state(t, state);
	if (t->queued)
		sched_stop_queued(t);
	if (t == this_cpu()->current)
		this_cpu()->need_resched = true;
}

void sched_yield(void)
{
	this_cpu()->yield = true;
	this_cpu()->need_resched = true;
}

static void yield_if_current(struct thread *t)
{
	struct cpu *cpu = t->cpu;

	if (cpu->current != t)
		return;
	cpu->yield = true;
	cpu->need_resched = true;
	if (cpus_many())
		cpu_kick(cpu);
}

void sched_requeue(struct thread *t)
{
	if (t->queued)
		sched_dequeue(t);
	sched_make_ready(t);
	yield_if_current(t);
}

void sched_stop_clock(struct sched_context *sc)
{
	struct thread *t = sc->thread;

	if (!t || t->cpu->current != t)
		return;
	charge(t->cpu);
	t->cpu->timed = NULL;
	t->cpu->need_resched = true;
	if (cpus_many())
		cpu_kick(t->cpu);
}

void sched_take_away(struct thread *t)
{
	struct cpu *cpu = t->cpu;

	if (likely(!cpus_many()) || cpu == this_cpu() || cpu->current != t)
		return;
	charge(cpu);
	cpu->timed = NULL;
	cpu_leave(cpu);
	/* It may go on, there or elsewhere, if what takes it away does not forbid it. */
	sched_make_ready(t);
}

/*
 * A vCPU's thread that is alone in its VSpace flushes on the CPU where it is: the one that it comes to may remember what
 * was flushed elsewhere, by this thread or by one that was alone there before it came.
 */
static void note_cpu(struct cpu *cpu, struct thread *to)
{
	if (to->ran != cpu && to->vcpu) {
		hold(HOLD_FORGETS);
		arch_forget_all();
	}
	to->cpu = to->ran = cpu;
}

/* With several CPUs. One that is preempted is queued already. It calls nothing, so that its caller spills nothing. */
static noinline __cold void note_switch(struct cpu *cpu, struct thread *to)
{
	note_cpu(cpu, to);
	if (cpu->current->queued)
		note_ready(cpu->current);
	note_waited(to);
}

static inline void switch_to(struct cpu *cpu, struct thread *to)
{
	struct thread *from = cpu->current;

	if (unlikely(cpu->many))
		note_switch(cpu, to);
	cpu->need_resched = false;
	cpu->yield = false;
	if (to->queued)
		sched_dequeue(to);
	if (from != to) {
		event(EVENT_THREAD_SWITCH, (u64)from, (u64)to);
		cpu->current = to;
		arch_switch(cpu, from, to);
	}
	start_clock(cpu);
}

void sched_leave(void)
{
	struct cpu *cpu = this_cpu();

	switch_to(cpu, &cpu->idle);
	cpu->need_resched = true;
}

bool sched_may_switch(struct thread *to)
{
	struct cpu *cpu = this_cpu();

	return can_run(to) && to->priority > cpu->ready_top && likely(to->sc->cpu == cpu);
}

static void direct_switch(struct thread *to)
{
	struct cpu *cpu = this_cpu();

	charge(cpu);
	assert(!can_run(cpu->current) && sched_may_switch(to) && !cpu->log_unread);
	switch_to(cpu, to);
}

/* Choose the thread of highest priority, and switch to it; the idle thread if there is none. */
void schedule(struct cpu *cpu)
{
	struct thread *t = cpu->current;
	int p;

	assert(!t->queued && kernel_locked());
	charge(cpu);
	if (cpu->yield && t->sc)
		t->sc->slice = 0;
	if (can_run(t)) {
		if (likely(t->sc->cpu == cpu))
			enqueue(cpu, t, !cpu->yield);
		else
			enqueue_elsewhere(t->sc->cpu, t);
	}
	p = cpu->ready_top;
	switch_to(cpu, p < 0 ? &cpu->idle : container_of(cpu->ready[p].next, struct thread, link));
}

void sched_run(struct thread *to)
{
	thread_set_state(to, THREAD_RUN);
	if (this_cpu()->current->state != THREAD_RUN && sched_may_switch(to))
		direct_switch(to);
	else
		sched_wake(to);
}
