/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Per-CPU data. Everything that a second CPU would have of its own is here; the rest of the kernel's state belongs to
 * objects. The kernel runs with interrupts disabled, on one stack for each CPU, and is never preempted; long operations
 * return to user mode to be repeated (see struct invocation).
 */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <kernel/thread.h>
#include <kernel/trace.h>
#include <arch/cpu.h>

struct sched_context;

struct cpu {
	struct arch_cpu arch; /* first: the entry code knows its offsets */
	struct thread *current;
	bool need_resched;
	bool yield;      /* current goes behind its peers */
	bool log_unread; /* the log has grown since its reader was signalled: need_resched is set until trap_exit() */
	int ready_top;   /* highest priority with a ready thread, -1: none */
	u64 ready_bits[L4_PRIORITIES / 64];
	struct list timers;          /* sorted by when */
	struct sched_context *timed; /* current's, while its time is counted; NULL: no limit, no peers */
	bool sliced;                 /* timed: its slice counts, since current has peers */
	u64 charged_at;              /* timed: counted until then */
	u64 slice_end;               /* timed: end of its budget or slice */
	u64 programmed;              /* what the timer hardware is set to */
	struct thread idle;
	struct list ready[L4_PRIORITIES]; /* last: what is before it has short offsets */
};

#define NEVER (~0UL)

/* sched/cpu.c: everything of a zeroed struct cpu but arch and the idle thread's root. */
void cpu_init_common(struct cpu *cpu);

/* Must trap_exit() come before user mode? For hot entries, where it seldom must. */
static inline bool trap_exit_needed(const struct cpu *cpu) { return cpu->current->exit_work | cpu->need_resched; }

#endif
