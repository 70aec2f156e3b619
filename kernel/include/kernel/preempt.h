/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Preemption points. The kernel runs with interrupts off, so whatever may take long counts its steps and stops
 * when an interrupt is pending or a thread of higher priority is ready. Its caller keeps how far it came, and
 * the operation is repeated from there.
 */
#ifndef KERNEL_PREEMPT_H
#define KERNEL_PREEMPT_H

#include <kernel/arch.h>
#include <kernel/lock.h>

#define WORK_STEPS 2048 /* of some ten instructions each, between two looks for an interrupt */

/* What may take long stops here: for an interrupt, or for another CPU. */
static inline bool must_stop(void) { return arch_interrupt_pending() || lock_is_wanted(); }

struct work {
	long left;
};

#define WORK_PREEMPTIBLE ((struct work){ WORK_STEPS })
#define WORK_TO_THE_END  ((struct work){ __LONG_MAX__ }) /* for what is bounded by itself */

/* Steps have been done. True: stop now. At least WORK_STEPS are done before that, so every repetition gets on. */
static inline bool work_preempted(struct work *w, u64 steps)
{
	w->left -= steps;
	if (likely(w->left > 0))
		return false;
	w->left = WORK_STEPS;
	return must_stop() || this_cpu()->need_resched;
}

#endif
