/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of objects, in steps: see lifetime.c. */
#ifndef KERNEL_LIFETIME_H
#define KERNEL_LIFETIME_H

#include <kernel/object.h>
#include <kernel/preempt.h>

#define STEPS 16 /* of a few thousand instructions each, between two looks for an interrupt */

/* A step was done; one that may be slow is followed by a look at once. True: stop now. */
static inline bool steps_interrupted(int *steps, bool slow)
{
	if (!slow && --*steps > 0)
		return false;
	*steps = STEPS;
	return must_stop();
}

void object_unref(struct object *o);
bool object_has_zombies(void);
bool object_reap(int *steps); /* finish the destruction of all zombies; false when interrupted */

#endif
