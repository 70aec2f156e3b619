// SPDX-License-Identifier: GPL-2.0-only
/* Capability slots: derivation, look-up, deletion. See object.h for the order of the list. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/irq.h>

/* CNodes without a capability whose slots still have to be emptied. */
static struct list zombies = { &zombies, &zombies };

static void (*const destroy[])(struct object *) = {
	[L4_TYPE_CNODE] = cnode_destroy,
	[L4_TYPE_THREAD] = thread_destroy,
	[L4_TYPE_SCHED_CONTEXT] = sched_context_destroy,
	[L4_TYPE_ENDPOINT] = endpoint_destroy,
	[L4_TYPE_REPLY] = reply_destroy,
	[L4_TYPE_NOTIFICATION] = notification_destroy,
	[L4_TYPE_VSPACE] = vspace_destroy,
	[L4_TYPE_VCPU] = vcpu_destroy,
	[L4_TYPE_GUESTSPACE] = guestspace_destroy,
};

static bool has_object(const struct slot *s)
{
	return s->type < sizeof(destroy) / sizeof(*destroy) && destroy[s->type];
}

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

bool slot_has_derived(const struct slot *s)
{
	return s->next && s->next->depth > s->depth;
}

void slot_copy(struct slot *dst, struct slot *src, u8 rights, u64 badge, bool child)
{
	dst->type = src->type;
	dst->rights = src->rights & rights;
	dst->size_bits = src->size_bits;
	dst->kind = src->kind;
	dst->use = FRAME_UNUSED;
	dst->object = src->object;
	dst->badge = src->type == L4_TYPE_FRAME ? 0 : badge;
	dst->vspace = NULL;
	list_init(&dst->in_vspace);
	if (child)
		slot_insert_child(src, dst);
	else
		slot_insert_sibling(src, dst);
	if (has_object(dst))
		SLOT_OBJECT(dst, object)->refs++;
	else if (dst->type == L4_TYPE_IRQ_HANDLER)
		irq_hold(dst->object);
}

/* Empty a slot from which nothing is derived. */
static void delete_leaf(struct slot *s)
{
	if (s->prev)
		s->prev->next = s->next;
	if (s->next)
		s->next->prev = s->prev;
	if (s->type == L4_TYPE_FRAME && s->use != FRAME_UNUSED)
		frame_release(s);

	u8 type = s->type;
	u64 object = s->object;

	memset(s, 0, sizeof(*s));
	if (type == L4_TYPE_IRQ_HANDLER) {
		irq_release(object);
	} else if (type < sizeof(destroy) / sizeof(*destroy) && destroy[type]) {
		struct object *o = (struct object *)object;

		if (--o->refs)
			return;
		if (type == L4_TYPE_CNODE)
			list_add_tail(&zombies, &((struct cnode *)o)->zombie);
		destroy[type](o);
	}
}

static struct slot *leaf_of(struct slot *s)
{
	while (slot_has_derived(s))
		s = s->next;
	return s;
}

/* Empty the slots of CNodes that have gone; false when interrupted. */
static bool reap(int *budget)
{
	while (!list_empty(&zombies)) {
		struct cnode *c = container_of(zombies.next, struct cnode, zombie);

		while (c->cursor <= c->slots_mask) {
			struct slot *s = (struct slot *)c + c->cursor;

			if (!s->type) {
				c->cursor++;
				continue;
			}
			delete_leaf(leaf_of(s));
			if (--*budget <= 0 && arch_interrupt_pending())
				return false;
		}
		list_remove(&c->zombie);
	}
	return true;
}

void slot_drop(struct slot *s)
{
	delete_leaf(s);
}

/* Would deleting what follows from s (and s itself) take the caller's thread, CNode or VSpace away? */
static bool holds_caller(struct slot *s, bool self)
{
	struct thread *t = this_cpu()->current;
	const u64 object[] = { (u64)t, (u64)t->cnode, (u64)t->vspace };
	u32 found[3] = { 0 };
	struct slot *c = self ? s : s->next;

	for (; c && (c == s || c->depth > s->depth); c = c->next)
		for (int k = 0; k < 3; k++)
			if (c->object == object[k] && has_object(c) &&
			    ++found[k] == SLOT_OBJECT(c, object)->refs)
				return true;
	return false;
}

error_t slot_revoke(struct slot *s, bool *again)
{
	int budget = 64;

	if (holds_caller(s, false))
		return L4_ERR_BUSY;
	while (slot_has_derived(s)) {
		delete_leaf(leaf_of(s));
		if (--budget <= 0 && arch_interrupt_pending()) {
			*again = slot_has_derived(s) || !list_empty(&zombies);
			if (*again)
				return L4_ERR_OK;
		}
		/* Emptied CNodes may hold what is derived from s. */
		if (!reap(&budget)) {
			*again = true;
			return L4_ERR_OK;
		}
	}
	if (!reap(&budget)) {
		*again = true;
		return L4_ERR_OK;
	}
	if (s->type == L4_TYPE_UNTYPED) {
		s->badge = 0;
		s->clean = 0;
	}
	return L4_ERR_OK;
}

error_t slot_delete(struct slot *s, bool *again)
{
	int budget = 64;

	if (holds_caller(s, true))
		return L4_ERR_BUSY;

	error_t error = slot_revoke(s, again);

	if (error || *again)
		return error;
	delete_leaf(s);
	/* The slot is empty now, so repeating the call would fail: what is left is reaped by the next. */
	while (!reap(&budget))
		budget = 64;
	return L4_ERR_OK;
}
