/* SPDX-License-Identifier: GPL-2.0-only */
/* Budgets: a thread gets its share of each period, and time is charged to the SchedContext that it ran on. */
#include "harness.h"

#define HZ (boot_info->counter_hz)
#define US (HZ / 1000000)

static u64 alarm;

static void spins_until(struct helper *self)
{
	u64 start = l4_counter();

	while (l4_counter() - start < self->arg[1]) {
		shared[self->arg[0]]++;
		shared[8] = self->arg[0];
	}
}

static void configure(u64 sched, u64 budget_us, u64 period_us)
{
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, sched, budget_us, period_us));
}

/* A thread with a fifth of the time gets that, and a thread of lower priority gets the rest. */
TEST(sched_budget_limits)
{
	struct helper *limited = helper_make(spins_until, 1, 100), *rest = helper_make(spins_until, 2, 50);

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, limited->sched, 2000, 10000));
	limited->arg[1] = ~0UL;
	rest->arg[1] = HZ / 5;
	helper_start(limited);
	helper_start(rest);
	helper_join(rest);
	print("# budget 2/10: limited %lu, rest %lu\n", shared[1], shared[2]);
	CHECK(shared[1] * 8 > shared[2]); /* it gets about a quarter of what the rest gets */
	CHECK(shared[1] < 3 * shared[2]);
}

static void sends(struct helper *self)
{
	spins_until(self);
	for (int i = 0; i < 3; i++)
		ERR(SYS(L4_SYS_SEND, shared[1], 0), OK);
}

static void receives(struct helper *self)
{
	for (int i = 0; i < 3; i++)
		ERR(recv(shared[1], 0), OK);
}

/* INFO tells the time used under a limit, and how often the thread has waited; a used-up budget is no wait. */
TEST(budget_is_accounted)
{
	struct helper *h = helper_make(sends, 2, 100), *low = helper_make(receives, 0, 50);
	u64 weak = cap_copy(h->sched, L4_RIGHT_WRITE);
	struct sys info;

	ERR(INV(h->sched, L4_SCHED_CONTEXT_INFO + 1), OP);
	ERR(INV(weak, L4_SCHED_CONTEXT_INFO), RIGHTS);
	info = INV(h->sched, L4_SCHED_CONTEXT_INFO);
	EQ(info.error, L4_ERR_OK);
	EQ(info.m[0], 0);
	EQ(info.m[1], 0);
	shared[1] = obj_new(L4_TYPE_ENDPOINT, 0);
	configure(h->sched, 2000, 10000);
	h->arg[1] = 50000 * US;
	helper_start(h);
	helper_start(low);
	helper_join(h);
	info = INV(h->sched, L4_SCHED_CONTEXT_INFO);
	print("# of 50000 us: %lu, waits %lu\n", info.m[0] / US, info.m[1]);
	CHECK(info.m[0] > 9000 * US && info.m[0] < 13000 * US);
	CHECK(info.m[1] >= 2 && info.m[1] <= 5); /* the first message may find the receiver waiting */
	helper_join(low);
}

static void configures_itself(struct helper *self)
{
	u64 start;

	while (l4_counter() < shared[1])
		arch_relax();
	start = l4_counter();
	configure(self->sched, 1000, 100000);
	while (l4_counter() - start < 500 * US)
		arch_relax();
	shared[2] = l4_counter() - start;
}

/* A limit counts from when it is set: time that was used before is not charged. */
TEST(budget_starts_with_the_limit)
{
	struct helper *h = helper_make(configures_itself, 0, 100), *earlier = helper_make(spins_until, 3, 110);

	configure(earlier->sched, 1000, 2000);
	earlier->arg[1] = 100 * US;
	helper_start(earlier);
	helper_join(earlier);
	shared[1] = l4_counter() + 10000 * US;
	helper_start(h);
	helper_join(h);
	CHECK(shared[2] < 1000 * US);
}

/* Records when a thread ran: a gap of 20 us or more in its own clock counts as a pause. */
#define RUNS 256
static struct {
	u64 start, end;
} run[RUNS];
static u64 runs;

static void run_for(u64 ticks)
{
	u64 start = l4_counter(), last = start;

	run[runs].start = start;
	while (last - start < ticks) {
		u64 now = l4_counter();

		if (now - last > 20 * US && runs < RUNS - 1) {
			run[runs++].end = last;
			run[runs].start = now;
		}
		last = now;
	}
	run[runs].end = last;
	runs += runs < RUNS - 1;
}

static void rings_at(struct helper *self)
{
	for (;;) {
		while (l4_counter() < shared[1])
			arch_relax();
		shared[1] = ~0UL;
		SYS(L4_SYS_SIGNAL, alarm, 0);
	}
}

static void sleep_for(u64 ticks)
{
	shared[1] = l4_counter() + ticks;
	ERR(SYS(L4_SYS_WAIT, alarm, 0), OK);
}

static void runs_late_in_its_period(struct helper *self)
{
	run_for(10 * US);
	sleep_for(510 * US);
	run_for(3000 * US);
}

static void runs_and_sleeps_at_random(struct helper *self)
{
	u64 seed = 20;

	for (u64 i = 0; i < 40; i++) {
		run_for(random64(&seed) % 600 * US);
		sleep_for(random64(&seed) % 600 * US);
	}
}

/* In every interval a thread runs at most its share plus budget * (1 - budget / period); 20 us are for switches. */
static void check_bandwidth(u64 budget_us, u64 period_us)
{
	u64 burst = budget_us * US * (period_us - budget_us) / period_us + 20 * US;

	for (u64 i = 0; i < runs; i++)
		for (u64 j = i, used = 0; j < runs; j++) {
			u64 allowed = (run[j].end - run[i].start) * budget_us / period_us + burst;

			used += run[j].end - run[j].start;
			if (used > allowed) {
				print("# runs %lu to %lu: %lu us, at most %lu\n", i, j, used / US, allowed / US);
				CHECK(used <= allowed);
				return;
			}
		}
}

static void check_budget(void (*act)(struct helper *), u64 budget_us, u64 period_us)
{
	struct helper *limited = helper_make(act, 0, 100), *clock = helper_make(rings_at, 0, 50);

	alarm = obj_new(L4_TYPE_NOTIFICATION, 0);
	shared[1] = ~0UL;
	runs = 0;
	configure(limited->sched, budget_us, period_us);
	helper_start(limited);
	helper_start(clock);
	helper_join(limited);
	CHECK(runs > 1 && runs < RUNS - 1);
	check_bandwidth(budget_us, period_us);
}

/* A thread must not use one budget at the end of a period and the next one directly after it. */
TEST(budget_is_not_doubled_at_the_end_of_a_period) { check_budget(runs_late_in_its_period, 500, 1000); }

TEST(budget_bounds_every_interval)
{
	check_budget(runs_and_sleeps_at_random, 500, 1000);
	check_budget(runs_and_sleeps_at_random, 100, 1000);
}

static void preempts_at_random(struct helper *self)
{
	u64 seed = 30;

	for (;;) {
		ERR(SYS(L4_SYS_WAIT, self->arg[1], 0), OK);
		for (u64 start = l4_counter(), t = random64(&seed) % 700 * US; l4_counter() - start < t;)
			arch_relax();
	}
}

static void runs_and_is_preempted(struct helper *self)
{
	u64 seed = 40;

	for (u64 i = 0; i < 40; i++) {
		run_for(random64(&seed) % 600 * US);
		SYS(L4_SYS_SIGNAL, self->arg[1], 0);
	}
}

/* A budget that was not used because others ran is not kept for later periods. */
TEST(budget_bounds_every_interval_of_a_preempted_thread)
{
	struct helper *limited = helper_make(runs_and_is_preempted, 0, 100);
	struct helper *urgent = helper_make(preempts_at_random, 0, 120);

	limited->arg[1] = urgent->arg[1] = obj_new(L4_TYPE_NOTIFICATION, 0);
	runs = 0;
	configure(limited->sched, 500, 1000);
	helper_start(urgent);
	helper_start(limited);
	helper_join(limited);
	check_bandwidth(500, 1000);
}

/* Time in which others run is not charged: the thread's next budget is whole. */
TEST(budget_is_not_charged_while_others_run)
{
	struct helper *limited = helper_make(runs_late_in_its_period, 0, 100), *clock = helper_make(rings_at, 0, 50);
	u64 start;

	alarm = obj_new(L4_TYPE_NOTIFICATION, 0);
	shared[1] = ~0UL;
	runs = 0;
	configure(limited->sched, 500, 1000);
	helper_start(limited);
	helper_start(clock);
	helper_join(limited);
	start = run[1].start;
	CHECK(start - run[0].end < 520 * US);
	CHECK(run[1].end - start > 480 * US);
}
