// SPDX-License-Identifier: GPL-2.0-only
/* SchedContext: a budget of CPU time in each period, and its replenishment. sched/lend.c lends it. */
#include <kernel/arch.h>
#include <kernel/sched.h>

void sched_context_init(struct object *o)
{
	struct sched_context *sc = (struct sched_context *)o;

	list_init(&sc->timer.link);
	sc->timer.kind = TIMER_SCHED_CONTEXT;
	sc->cpu = cpus[0];
}

error_t sched_context_configure(struct sched_context *sc, u64 budget_us, u64 period_us, struct cpu *cpu)
{
	u64 per_us = arch_counter_hz() / 1000000;

	sched_stop_clock(sc);
	timer_cancel(&sc->timer);
	if (sc->cpu != cpu && sc->thread)
		sched_take_away(sc->thread);
	sc->cpu = cpu;
	sc->unlimited = budget_us == period_us;
	sc->budget = sc->remaining = budget_us * per_us;
	sc->period = period_us * per_us;
	sc->deadline = 0;
	if (sc->thread) {
		sched_note_direct(sc->thread);
		sched_requeue(sc->thread);
	}
	return L4_ERR_OK;
}

/* The deadline of a used-up budget. An overrun, by a long system call, is paid from the next ones. */
void sched_context_refill(struct timer *timer)
{
	struct sched_context *sc = container_of(timer, struct sched_context, timer);

	sc->remaining += sc->budget;
	sc->deadline += sc->period;
	if (sc->remaining <= 0)
		timer_set(timer, sc->deadline);
	else if (sc->thread)
		sched_make_ready(sc->thread);
}

error_t sched_context_invoke(struct invocation *i)
{
	if (i->op != L4_SCHED_CONTEXT_INFO)
		return L4_ERR_OP;
	if (!(i->slot->rights & L4_RIGHT_READ))
		return L4_ERR_RIGHTS;
	i->result.sched_context_info.used = SLOT_OBJECT(i->slot, sched_context)->used;
	i->result.sched_context_info.waits = SLOT_OBJECT(i->slot, sched_context)->waits;
	return L4_ERR_OK;
}

/* The timer last: the end of a run may have set it. */
bool sched_context_destroy(struct object *o)
{
	struct sched_context *sc = (struct sched_context *)o;

	sched_context_bind(sc, NULL);
	timer_cancel(&sc->timer);
	return true;
}
