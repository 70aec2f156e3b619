/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's lock: one for all of it, where there are several CPUs (docs/many-cpus.md). A CPU that enters the kernel
 * takes it, and trap_exit() drops it. sched/lock.c lists what is done without it.
 */
#ifndef KERNEL_LOCK_H
#define KERNEL_LOCK_H

#include <kernel/arch.h>
#include <kernel/cpu.h>
#include <kernel/debug.h>
#include <kernel/hold.h>

extern u32 cpu_count; /* CPUs that run; does not change once the first thread does */

/*
 * Who raises `count` from 0 holds the lock. Anybody else takes a number then, and holds it when that is served: who drops
 * the lock and is not the last has the next number served, be it taken already or not.
 */
struct kernel_ticket {
	u32 count;         /* CPUs that hold the lock or want it */
	u32 next, serving; /* numbers that were taken, and that were served */
};
extern struct kernel_ticket kernel_ticket;

/*
 * The CPU that has the lock and sleeps, or is about to, until another one is out or has given up its thread; NULL: none.
 * Who does either looks here afterwards, at the lock, where it is to wait in any case.
 */
extern struct cpu *stopper_asleep;

#define LOCK_SPIN_US 20 /* longer than most entries hold the lock */

/* Until when a CPU that waits for another one since then spins, before it sleeps. */
static inline u64 lock_spin_end(u64 since) { return since + arch_counter_hz() / 1000000 * LOCK_SPIN_US; }

static inline bool cpus_many(void) { return unlikely(this_cpu()->many); }

/* Does this CPU hold the lock? Where there is one CPU, always. */
static inline bool kernel_locked(void) { return !cpus_many() || this_cpu()->locked; }

/* lock.c: with several CPUs. The result: see kernel_lock(). */
bool lock_take(enum lock_reason why) __cold;
void lock_pass(void) __cold; /* it was dropped, and another CPU wants it */

/* If nobody has it, one atomic access takes the lock. `out` stays: nobody but who holds the lock looks at it. */
static inline bool lock_take_free(struct cpu *cpu)
{
	if (!arch_count_first(&kernel_ticket.count))
		return false;
	cpu->locked = true;
	hold_lock_taken();
	hold(HOLD_LOCK_TAKEN);
	arch_lock_taken(cpu);
	return true;
}

/*
 * Take the lock. While it waits, this CPU may lose its current thread: then the current one is the idle thread, what the
 * thread asked for is done when it runs again, and the result is false: trap_exit() is all that is left to do.
 */
static inline bool kernel_lock(enum lock_reason why)
{
	return likely(!cpus_many()) || likely(lock_take_free(this_cpu())) || lock_take(why);
}

/* One atomic access, behind all that was done with the lock. True: lock_pass() has to follow. */
static inline bool lock_release(void) { return !arch_count_last(&kernel_ticket.count); }

static inline void lock_drop(struct cpu *cpu, bool to_idle)
{
	assert(cpu->locked && !cpu->leave);
	hold_lock_dropped();
	cpu->locked = cpu->alone = false;
	__atomic_store_n(&cpu->out, to_idle, __ATOMIC_RELAXED);
	hold(HOLD_LOCK_DROPS);
	if (unlikely(lock_release()))
		lock_pass();
}

/* Who holds the lock: does another CPU want it? */
static inline bool lock_is_wanted(void)
{
	return cpus_many() && __atomic_load_n(&kernel_ticket.count, __ATOMIC_RELAXED) > 1;
}

/* The lock is held in all that follows. */

/* Another CPU comes into the kernel, if it is not there, and does what has become its to do. */
void cpu_kick(struct cpu *cpu) __cold;

/*
 * All other CPUs leave user mode and what is done without the lock: they wait at the lock, or idle. The wait is bounded,
 * since nothing waits without the lock.
 */
void cpus_stop(void) __cold;

/*
 * The same of those only whose current thread has this CNode or this VSpace (NULL: none): its slots will change, or its
 * tables, GuestSpaces and regions.
 */
void cpus_stop_users(const struct cnode *c, const struct vspace *v) __cold;
static inline void stop_users_of_slots(const struct cnode *c)
{
	if (cpus_many())
		cpus_stop_users(c, NULL);
}
static inline void stop_users_of_space(const struct vspace *v)
{
	if (cpus_many())
		cpus_stop_users(NULL, v);
}

/* Another CPU gives up its current thread, which is in its memory then, and goes on with the idle thread. */
void cpu_leave(struct cpu *cpu) __cold;

/* Start all CPUs that firmware lists. Called once, before the first thread runs; the lock is held from then on. */
void cpus_start(void);

#endif
