/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SchedContext: CPU time, as a budget in each period. A thread runs on one. A call lends the caller's to a receiver
 * that has none; replies is the stack of these loans, and the answer to a call gives the time back (sched/lend.c).
 */
#ifndef KERNEL_SCHED_CONTEXT_H
#define KERNEL_SCHED_CONTEXT_H

#include <kernel/object.h>
#include <kernel/timer.h>

struct reply;

struct sched_context {
	struct object obj;
	bool unlimited;        /* configured, and its budget is its period */
	struct thread *thread; /* that runs on it now */
	struct thread *owner;  /* that is configured with it */
	struct cpu *cpu;       /* that its thread runs on */
	u64 budget, period;    /* counter ticks; budget 0: not configured */
	long remaining;        /* of the budget; below 0: overrun, paid from the next one */
	u64 deadline;          /* end of the period: the next budget if this one is used up */
	u64 used, waits;       /* in all, while limited: time, and runs that ended because the thread could not go on */
	u64 slice;             /* left of its turn among equals; 0: starts a new one when it runs */
	struct timer timer;    /* replenishment, while remaining is not above 0 */
	struct reply *replies; /* stack of calls that lent it; none: it is its thread's own */
};
_Static_assert(sizeof(struct sched_context) <= 1 << L4_SCHED_CONTEXT_BITS, "sched_context size");

error_t sched_context_configure(struct sched_context *sc, u64 budget_us, u64 period_us, struct cpu *cpu);
void sched_context_refill(struct timer *t); /* its timer has expired */

void sched_context_move(struct sched_context *sc, struct thread *to); /* to has none; NULL: nobody's */
void sched_context_bind(struct sched_context *sc, struct thread *to); /* and no caller gets it back */
void sched_context_lend(struct reply *r, struct thread *caller, struct thread *receiver);
void sched_context_return(struct reply *r, struct thread *caller); /* the call that r kept is over */

#endif
