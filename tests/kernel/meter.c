/* SPDX-License-Identifier: GPL-2.0-only */
#include "meter.h"

#define BUDGET_US METER_TURN_US
#define PERIOD_US 300

/* In shared memory, because forks read it and have no boot_info. */
#define LONGEST shared[100] /* ticks */
#define QUIET   shared[101]
#define HZ      shared[102]

static struct helper *meter;

static void measure(struct helper *self)
{
	u64 last = l4_counter();

	for (;;) {
		u64 now = l4_counter();

		if (now - last > LONGEST)
			LONGEST = now - last;
		last = now;
	}
}

u64 meter_microseconds(u64 ticks) { return ticks * 1000000 / HZ; }

/* Returns the longest time so far, and during the next millisecond. */
static u64 longest(void)
{
	u64 end = l4_counter() + HZ / 1000, gap;

	while (l4_counter() < end)
		;
	gap = LONGEST;
	LONGEST = 0;
	return gap;
}

void meter_start(void)
{
	HZ = boot_info->counter_hz;
	meter = helper_make(measure, 0, 255);
	MUST(INV(meter->thread, L4_THREAD_SET_SCHED, sched_new(BUDGET_US, PERIOD_US), 255, 255));
	helper_start(meter);
	longest();
	QUIET = longest();
	if (CHECK(meter_microseconds(QUIET) > PERIOD_US - 2 * BUDGET_US && meter_microseconds(QUIET) < PERIOD_US))
		return;
	/* Instructions are so slow that the kernel takes what the meter leaves: the test might never get on. */
	meter_stop();
	finish_test();
}

void meter_stop(void) { MUST(INV(meter->thread, L4_THREAD_SUSPEND)); }

u64 meter_latest_us(void)
{
	u64 gap = longest();

	return gap > QUIET ? meter_microseconds(gap - QUIET) : 0;
}
