// SPDX-License-Identifier: GPL-2.0-only
/*
 * The end of objects. An object without a capability is destroyed in steps. One that is not finished is a zombie: no
 * capability names it, but queues and Frames may still point to it, so its memory is not used for anything else before:
 * slot_revoke() of the Untyped it lies in returns when there are no zombies.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/lifetime.h>

static struct object *zombies;

bool object_has_zombies(void) { return zombies; }

/*
 * One capability less; the last one ends the object. Does not recurse from CNode to CNode: what a CNode holds is taken
 * later, by object_reap().
 */
void object_unref(struct object *o)
{
	assert(o->refs && kernel_locked());
	if (--o->refs)
		return;
	if (type_is_deferred(o->type) || !object_destroy(o)) {
		o->next_zombie = zombies;
		zombies = o;
	}
}

/* The list is a stack: what a step adds is destroyed first. */
bool object_reap(int *steps)
{
	while (zombies) {
		struct object *o = zombies;
		bool slow = object_step_is_slow(o);

		if (object_destroy(o)) {
			assert(zombies == o);
			zombies = o->next_zombie;
		}
		if (steps_interrupted(steps, slow) && zombies)
			return false;
	}
	return true;
}
