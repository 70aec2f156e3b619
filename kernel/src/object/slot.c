// SPDX-License-Identifier: GPL-2.0-only
/* Slots: derivation, copy, deletion of one. See slot.h for the order of the list. */
#include <kernel/cpu.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/object.h>
#include <kernel/preempt.h>

/* Insert s into the list, behind at. */
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

/* Insert an equal capability: before the source, so that what is derived from the source stays behind it. */
static void insert_sibling(struct slot *of, struct slot *s)
{
	s->depth = of->depth;
	s->next = of;
	s->prev = of->prev;
	if (s->prev)
		s->prev->next = s;
	of->prev = s;
}

bool slot_has_derived(const struct slot *s) { return s->next && s->next->depth > s->depth; }

void slot_copy(struct slot *dst, struct slot *src, u8 rights, u64 word, bool child)
{
	assert(kernel_locked());
	dst->type = src->type;
	dst->rights = src->rights & rights;
	dst->size_bits = src->size_bits;
	dst->kind = src->kind;
	dst->use = SLOT_UNUSED;
	dst->object = src->object;
	dst->word = src->type == L4_TYPE_FRAME ? 0 : word;
	dst->vspace = NULL;
	list_init(&dst->in_vspace);
	if (child)
		slot_insert_child(src, dst);
	else
		insert_sibling(src, dst);
	capability_copied(dst);
}

bool slot_delete_one(struct slot *s)
{
	struct work work = WORK_PREEMPTIBLE;
	struct slot was = *s;

	assert(kernel_locked());
	if (s->use && !capability_release(s, &work))
		return false;
	if (s->prev)
		s->prev->next = s->next;
	if (s->next)
		s->next->prev = s->prev;
	memset(s, 0, sizeof(*s));
	if (was.use)
		capability_lost(s, was.use, was.object);
	capability_dropped(was.type, was.object);
	return true;
}

void slot_take(struct slot *s) { slot_delete_one(slot_has_derived(s) ? s->next : s); }

void slot_hold(struct slot *held, struct slot *cap, enum slot_use use)
{
	assert(!held->type && !cap->use);
	slot_copy(held, cap, L4_RIGHT_ALL, cap->word, true);
	held->use = use;
}

void slot_drop(struct slot *held)
{
	if (!held->type)
		return;
	assert(!slot_has_derived(held));
	held->use = SLOT_UNUSED;
	slot_delete_one(held);
}
