// SPDX-License-Identifier: GPL-2.0-only
/* Capability slots: derivation, look-up, deletion. See object.h for the order of the list. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/irq.h>
#include <kernel/preempt.h>

#define BUDGET 16 /* steps between two looks for an interrupt */

/*
 * Objects without a capability whose destruction has begun. Nobody can name them, but queues and Frames may still point
 * to them, so their memory is not used for anything else before: an Untyped becomes empty when there are none.
 */
static struct object *zombies;

static void link_after(struct slot *at, struct slot *s)
{
	s->prev = at;
	s->next = at->next;
	if (s->next)
		s->next->prev = s;
	at->next = s;
}

void slot_insert_child(struct slot *parent, struct slot *child)
{
	child->depth = parent->depth + 1;
	link_after(parent, child);
}

/* Before the source, so that what is derived from the source stays behind it. */
void slot_insert_sibling(struct slot *of, struct slot *s)
{
	s->depth = of->depth;
	s->next = of;
	s->prev = of->prev;
	if (s->prev)
		s->prev->next = s;
	of->prev = s;
}

bool slot_has_derived(const struct slot *s) { return s->next && s->next->depth > s->depth; }

void slot_copy(struct slot *dst, struct slot *src, u8 rights, u64 badge, bool child)
{
	dst->type = src->type;
	dst->rights = src->rights & rights;
	dst->size_bits = src->size_bits;
	dst->kind = src->kind;
	dst->use = SLOT_UNUSED;
	dst->object = src->object;
	dst->badge = src->type == L4_TYPE_FRAME ? 0 : badge;
	dst->vspace = NULL;
	list_init(&dst->in_vspace);
	if (child)
		slot_insert_child(src, dst);
	else
		slot_insert_sibling(src, dst);
	if (type_has_object(dst->type))
		SLOT_OBJECT(dst, object)->refs++;
	else if (dst->type == L4_TYPE_IRQ_HANDLER)
		irq_hold(dst->object);
}

/* A held slot was revoked and is empty now. */
static void tell_holder(struct slot *held, enum slot_use use, u64 object)
{
	switch (use) {
	case HELD_SPACE:
		guestspace_lost(held);
		break;
	case HELD_IRQ:
		irq_lost(held);
		break;
	case HELD_LOG:
		log_lost();
		break;
	default:
		thread_lost(held, use, object);
	}
}

/* Does not recurse from CNode to CNode: what a CNode holds is taken later, by reap(). */
static void drop_object(struct object *o)
{
	assert(o->refs);
	if (--o->refs)
		return;
	if (o->type == L4_TYPE_CNODE || !object_destroy(o)) {
		o->next_zombie = zombies;
		zombies = o;
	}
}

/*
 * Empty a slot. What is derived from it stays behind, deeper than whatever precedes it; so this is for leaves, and for
 * the first of what a revoke deletes, all of which is deeper than the slot that is revoked. False: interrupted while a
 * Frame was taken out of its VSpace, and the slot is still there.
 */
static bool delete_one(struct slot *s)
{
	struct work work = WORK_PREEMPTIBLE;
	bool object = type_has_object(s->type);
	struct slot was = *s;

	if (s->type == L4_TYPE_FRAME && s->use && !frame_release(s, &work))
		return false;
	if (s->prev)
		s->prev->next = s->next;
	if (s->next)
		s->next->prev = s->prev;
	memset(s, 0, sizeof(*s));
	if (was.type != L4_TYPE_FRAME && was.use)
		tell_holder(s, was.use, was.object);
	if (was.type == L4_TYPE_IRQ_HANDLER)
		irq_release(was.object);
	else if (object)
		drop_object((struct object *)was.object);
	return true;
}

/* Or does a part of it, when it is interrupted. */
void slot_take(struct slot *s) { delete_one(slot_has_derived(s) ? s->next : s); }

void slot_hold(struct slot *held, struct slot *cap, enum slot_use use)
{
	assert(!held->type && !cap->use);
	slot_copy(held, cap, L4_RIGHT_ALL, cap->badge, true);
	held->use = use;
}

void slot_drop(struct slot *held)
{
	if (!held->type)
		return;
	assert(!slot_has_derived(held));
	held->use = SLOT_UNUSED;
	delete_one(held);
}

/* The budget is for steps of a few thousand instructions; one that may be expensive is followed by a look at once. */
static bool interrupted(int *budget, bool expensive)
{
	if (!expensive && --*budget > 0)
		return false;
	*budget = BUDGET;
	return arch_interrupt_pending();
}

static bool is_expensive(const struct slot *s)
{
	return s->type == L4_TYPE_GUESTSPACE || s->type == L4_TYPE_VSPACE || (s->type == L4_TYPE_FRAME && s->use);
}

/* The next step of an object's destruction? */
static bool step_is_expensive(struct object *o)
{
	struct cnode *c = (struct cnode *)o;
	struct slot *s = (struct slot *)c + c->cursor;

	if (o->type != L4_TYPE_CNODE)
		return o->type == L4_TYPE_VSPACE;
	return c->cursor <= c->slots_mask && is_expensive(slot_has_derived(s) ? s->next : s);
}

/* Go on with the destruction of objects; false when interrupted. What a step adds comes first: it is on top. */
static bool reap(int *budget)
{
	while (zombies) {
		struct object *o = zombies;
		bool expensive = step_is_expensive(o);

		if (object_destroy(o)) {
			assert(zombies == o);
			zombies = o->next_zombie;
		}
		if (interrupted(budget, expensive) && zombies)
			return false;
	}
	return true;
}

error_t slot_reap(bool *again)
{
	int budget = BUDGET;

	*again = !reap(&budget);
	return L4_ERR_OK;
}

/* Would the caller have no thread, CNode or VSpace without this capability? */
static bool carries_caller(const struct slot *s)
{
	const struct thread *t = this_cpu()->current;

	return s == &t->cnode_slot || s == &t->vspace_slot ||
	       (s->type == L4_TYPE_THREAD && SLOT_OBJECT(s, thread) == t && t->obj.refs == 1);
}

/*
 * The first of what is derived goes first: no search for a leaf, so each step costs the same however deep and wide the
 * tree is, and a repeated call finds its place at once. When it stops in between, capabilities whose parent has gone
 * count as derived from what precedes them; all of that is below s, and goes with s.
 */
error_t slot_revoke(struct slot *s, bool *again)
{
	int budget = BUDGET;

	do {
		if (slot_has_derived(s)) {
			bool expensive = is_expensive(s->next);

			if (carries_caller(s->next))
				return L4_ERR_BUSY;
			if (!delete_one(s->next) ||
			    (interrupted(&budget, expensive) && (slot_has_derived(s) || zombies))) {
				*again = true;
				return L4_ERR_OK;
			}
		}
		/* Emptied CNodes may hold what is derived from s, and s. */
		if (!reap(&budget)) {
			*again = true;
			return L4_ERR_OK;
		}
	} while (slot_has_derived(s));
	if (s->type == L4_TYPE_UNTYPED) {
		s->badge = 0;
		s->clean = 0;
	}
	return L4_ERR_OK;
}

error_t slot_delete(struct slot *s, bool *again)
{
	error_t error;

	if (carries_caller(s))
		return L4_ERR_BUSY;
	error = slot_revoke(s, again);
	if (error || *again)
		return error;
	if (!s->type)
		return L4_ERR_OK;
	if (carries_caller(s))
		return L4_ERR_BUSY;
	if (!delete_one(s)) {
		*again = true;
		return L4_ERR_OK;
	}
	return slot_reap(again);
}
