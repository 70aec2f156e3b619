/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Timers of one CPU: a list sorted by time (there are few: replenishments and vCPU timers) and one hardware timer, set
 * for the earliest of the list and the end of the current slice.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include <kernel/list.h>

/* The object that a timer is part of. entry/trap.c calls its function: the kernel has no function pointers. */
enum timer_kind { TIMER_SCHED_CONTEXT, TIMER_VCPU, TIMER_IRQ_PAUSE };

struct timer {
	u64 when; /* counter value; 0: not set */
	struct list link;
	u8 kind;
};

void timer_set(struct timer *t, u64 when);
void timer_cancel(struct timer *t);
void timer_program(void);                  /* the slice's end, or the first timer, has become earlier */
struct timer *timer_take_expired(u64 now); /* cancelled; NULL: none is due */

#endif
