// SPDX-License-Identifier: GPL-2.0-only
/* Revocation and deletion, in preemptible steps. A repeated call goes on where the last one stopped. */
#include <kernel/lifetime.h>
#include <kernel/slot.h>

error_t slot_reap(bool *again)
{
	int steps = STEPS;

	*again = !object_reap(&steps);
	return L4_ERR_OK;
}

/*
 * Delete everything that is derived from s. The first derived slot goes first: no search for a leaf, so each step costs
 * the same however deep and wide the tree is, and a repeated call finds its place at once. When it stops in between,
 * capabilities whose parent is deleted count as derived from what precedes them; all of that is below s, and goes with
 * s.
 */
error_t slot_revoke(struct slot *s, bool *again)
{
	int steps = STEPS;

	do {
		if (slot_has_derived(s)) {
			bool slow = capability_is_slow(s->next);

			if (capability_carries_caller(s->next))
				return L4_ERR_BUSY;
			if (!slot_delete_one(s->next) ||
			    (steps_interrupted(&steps, slow) && (slot_has_derived(s) || object_has_zombies()))) {
				*again = true;
				return L4_ERR_OK;
			}
		}
		/* CNodes that are being destroyed may hold what is derived from s, and s itself. */
		if (!object_reap(&steps)) {
			*again = true;
			return L4_ERR_OK;
		}
	} while (slot_has_derived(s));
	if (s->type == L4_TYPE_UNTYPED) {
		s->used = 0;
		s->clean_from = s->clean = 0;
	}
	return L4_ERR_OK;
}

/* Delete s and everything that is derived from it, and what its object kept. */
error_t slot_delete(struct slot *s, bool *again)
{
	error_t error;

	if (capability_carries_caller(s))
		return L4_ERR_BUSY;
	error = slot_revoke(s, again);
	if (error || *again)
		return error;
	if (!s->type)
		return L4_ERR_OK;
	if (capability_carries_caller(s))
		return L4_ERR_BUSY;
	if (!slot_delete_one(s)) {
		*again = true;
		return L4_ERR_OK;
	}
	return slot_reap(again);
}
