/* SPDX-License-Identifier: GPL-2.0-only */
/* The scheduler: who runs on this CPU, and for how long. */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include <kernel/lock.h>
#include <kernel/sched_context.h>
#include <kernel/thread.h>
#include <arch/cpu.h>

/*
 * Its mode or its SchedContext has changed: may it run without a look at either? Where it waits, its CPU is that on which
 * it will run then; else it becomes that when the thread is queued or runs.
 */
static inline void sched_note_direct(struct thread *t)
{
	t->direct = NULL;
	if (t->entry != ENTRY_OWN || !t->sc || !t->sc->unlimited)
		return;
	t->direct = t->sc->cpu;
	if (t->state != THREAD_RUN)
		t->cpu = t->direct;
}

void sched_wake(struct thread *t);            /* becomes THREAD_RUN */
void sched_block(struct thread *t, u8 state); /* leaves THREAD_RUN */
void sched_requeue(struct thread *t);         /* after a change of priority or budget: behind its peers */
void sched_make_ready(struct thread *t);      /* queue it if it can run */
void sched_dequeue(struct thread *t);         /* it is queued */
void sched_stop_queued(struct thread *t);     /* the same of one that can run no more */
void sched_yield(void);
void sched_take_away(struct thread *t);   /* no other CPU than this one runs it from now on */
void schedule(struct cpu *cpu);           /* this one */
void sched_leave(void) __cold;            /* to the idle thread, without the lock: see sched/lock.c */
bool sched_may_switch(struct thread *to); /* would schedule() choose it among all others? */
void sched_run(struct thread *to);        /* becomes THREAD_RUN, and runs at once if schedule() would choose it */

/* The current thread's SchedContext changes or goes: count until now; schedule() starts the clock anew. */
void sched_stop_clock(struct sched_context *sc);

#endif
