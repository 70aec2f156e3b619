// SPDX-License-Identifier: GPL-2.0-only
/* The time stamp counter, and the local APIC's timer. */
#include "x86.h"

bool arch_interrupt_pending(void) { return apic_pending(); }

u64 arch_counter(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

static u64 counter_hz, timer_scale;

u64 arch_counter_hz(void)
{
	if (!counter_hz)
		counter_hz = clock_calibrate();
	return counter_hz;
}

void arch_timer_set(u64 when)
{
	u64 now = arch_counter(), left = when > now ? when - now : 0;

	/* Ticks of the timer for each of the counter, with 32 fractional bits. */
	if (!timer_scale)
		timer_scale = (apic_timer_hz << 32) / arch_counter_hz();
	apic_timer((unsigned __int128)left * timer_scale >> 32);
}
