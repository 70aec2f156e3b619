/* SPDX-License-Identifier: GPL-2.0-only */
/* What tests of several CPUs share: threads on other CPUs, and CPUs that the kernel holds up (kernel/lib/hold/points.h). */
#ifndef CPUS_H
#define CPUS_H

#include <hold/points.h>
#include "guest.h"

#define ROUNDS 200
#define BUSY   L4_ROOT_PRIORITY - 50 /* of threads that run on */

extern u64 event, other_event, endpoint, reply; /* of make_objects(); the second one is the test's */

/*
 * A test that runs once as it is, and, in a kernel that can do so, with CPUs held up for random times at the points that
 * matter, for each of these seeds.
 */
#define CPUS_TEST(id, count)         \
	static void id##_body(void); \
	TEST(id)                     \
	{                            \
		need_cpus(count);    \
		id##_body();         \
	}                            \
	HELD(id, count, 1)           \
	HELD(id, count, 2)           \
	HELD(id, count, 3)           \
	static void id##_body(void)
#define HELD(id, count, seed)                         \
	TEST(id##_held_##seed)                        \
	{                                             \
		need_cpus(count);                     \
		run_held_up(id##_body, seed * 20261); \
	}

void run_held_up(void (*body)(void), u64 seed);

u64 passes(u64 point);                 /* how often CPUs have passed it */
void hold(u64 point, u64 cpu, u64 us); /* from now on this one is held up there, each time */
void hold_no_more(void);

#define CONFIGURE(sched, budget, period, cpu) \
	INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, sched, budget, period, cpu)

void make_objects(void);

/* make: helper_make or helper_fork. */
struct helper *made_on(u64 cpu, struct helper *(*make)(void (*)(struct helper *), u64, u64),
                       void (*run)(struct helper *), u64 arg);

/* One that runs on: a fifth of its CPU's time. */
struct helper *busy_on(u64 cpu, struct helper *(*make)(void (*)(struct helper *), u64, u64),
                       void (*run)(struct helper *), u64 arg);

/* The CPU has been in L4, and has run another thread. */
void pass(u64 cpu);

/* Bodies of helpers. They signal `event`, and count in shared[1]; what a call should not answer, in shared[2]. */
void runs_on(struct helper *self);
void makes_calls(struct helper *self);

#endif
