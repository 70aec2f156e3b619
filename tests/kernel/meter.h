/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How long L4 keeps interrupts off: a thread of the highest priority runs 100 us of every 300 and notes the longest
 * time in which it did not run. Under -icount one instruction is one ns, so the figures are exact.
 */
#ifndef METER_H
#define METER_H

#include "harness.h"

#define METER_LIMIT_US 200 /* no call may keep interrupts off longer */
#define METER_TURN_US  100 /* of the thread that measures: one more or less of its turns falls into a call */

void meter_start(void);
void meter_stop(void); /* must be called before its shared page is unmapped */

/* Returns the longest delay of a wake-up since the last call, or since the start. Forks may call it. */
u64 meter_latest_us(void);
u64 meter_microseconds(u64 ticks);

#define METER_CHECK(what)                                        \
	do {                                                     \
		u64 us_ = meter_latest_us();                     \
		print("# bench latency-%s %lu us\n", what, us_); \
		CHECK(us_ < METER_LIMIT_US);                     \
	} while (0)

#endif
