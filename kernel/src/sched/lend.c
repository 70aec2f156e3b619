// SPDX-License-Identifier: GPL-2.0-only
/* Which thread runs on a SchedContext: its owner, or the last of the threads that it was lent to along calls. */
#include <kernel/cpu.h>
#include <kernel/debug.h>
#include <kernel/reply.h>
#include <kernel/sched.h>

void sched_context_move(struct sched_context *sc, struct thread *to)
{
	struct cpu *cpu = this_cpu();
	struct thread *from = sc->thread;

	if (from) {
		sched_take_away(from);
		sched_stop_clock(sc);
		from->sc = NULL;
		sched_note_direct(from);
		if (from->queued)
			sched_stop_queued(from);
	}
	sc->thread = to;
	if (!to)
		return;
	assert(!to->sc);
	to->sc = sc;
	sched_note_direct(to);
	/* Its slice ends: a thread with several SchedContexts gains nothing by switching between them. */
	if (to == cpu->current)
		sched_yield();
	sched_make_ready(to);
}

/* A call lends the caller's time to a receiver that has none. */
void sched_context_lend(struct reply *r, struct thread *caller, struct thread *receiver)
{
	struct sched_context *sc = caller->sc;

	if (receiver->sc || !sc)
		return;
	sched_context_move(sc, receiver);
	r->sc = sc;
	r->below = sc->replies;
	sc->replies = r;
}

/* Take the latest loan off the stack. */
static struct reply *pop_loan(struct sched_context *sc)
{
	struct reply *r = sc->replies;

	sc->replies = r->below;
	r->below = NULL;
	r->sc = NULL;
	return r;
}

void sched_context_bind(struct sched_context *sc, struct thread *to)
{
	while (sc->replies)
		pop_loan(sc);
	sched_context_move(sc, to);
}

/* Loans further along the chain end with this one: the time has one owner at any moment. */
void sched_context_return(struct reply *r, struct thread *caller)
{
	struct sched_context *sc = r->sc;

	if (!sc)
		return;
	while (pop_loan(sc) != r)
		assert(sc->replies);
	sched_context_move(sc, caller->sc ? NULL : caller);
}
