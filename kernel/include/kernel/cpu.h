/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Per-CPU data. Everything that a CPU has of its own is here; the rest of the kernel's state belongs to objects. The
 * kernel runs with interrupts disabled, on one stack for each CPU, and is never preempted; long operations return to user
 * mode to be repeated (see struct invocation).
 */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <kernel/thread.h>
#include <kernel/timer.h>
#include <kernel/trace.h>
#include <arch/cpu.h>

struct sched_context;

#define L4_CPUS_MAX 16

/* What a CPU is at the lock for (kernel/lock.h): a system call, or what comes again by itself if nothing is done. */
enum lock_reason { LOCK_AGAIN, LOCK_SYSCALL };

enum cpu_state { CPU_STARTS = 1, CPU_CAME, CPU_UNWANTED };

struct cpu {
	struct arch_cpu arch; /* first: the entry code knows its offsets */
	struct thread *current;
	union {
		struct {
			bool need_resched;
			bool locked; /* it holds the lock; where there is one CPU, never */
		};
		u16 attention; /* both, so that one look tells whether trap_exit() has more to do */
	};
	bool many;       /* there are several CPUs */
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
	u32 number;
	u32 state;     /* enum cpu_state, of one that was started */
	u32 waits_for; /* enum lock_reason */
	bool alone;    /* it has stopped the others, or those concerned, since it took the lock */
	bool out;      /* it is neither in user mode nor in what is done without the lock; see sched/lock.c */
	bool leave;    /* it is to give up its current thread: set by who holds the lock, until it is done */
	bool stands;   /* it has stopped for another CPU's panic */
	bool sleeps;   /* at the lock, or it is about to: it needs an interrupt to see that something is for it */
	u32 ticket;    /* its turn at the lock, while it waits there */
	u32 kicked;    /* an interrupt was sent that it has not taken yet */
	u64 waited;    /* timed: at the lock, of what is to be charged to its budget */
	struct timer irq_pause; /* until then it takes no message-signalled interrupts */
	struct thread idle;
	struct list ready[L4_PRIORITIES]; /* last: what is before it has short offsets */
};

#define NEVER (~0UL)

extern struct cpu *cpus[L4_CPUS_MAX]; /* by number; NULL: there is none */

/* sched/lock.c: a CPU that was started ends here, when the architecture has set it up. */
void cpu_main(void) __noreturn;

/* sched/cpu.c: everything of a zeroed struct cpu but arch, the idle thread's root, and what cpus_start() sets. */
void cpu_init_common(struct cpu *cpu);

/* Must trap_exit() come before user mode? For hot entries, where it seldom must. */
static inline bool trap_exit_needed(const struct cpu *cpu) { return cpu->current->exit_work | cpu->need_resched; }

#endif
