// SPDX-License-Identifier: GPL-2.0-only
/* CNode: a table of capability slots. Slot 0 is the header of the object and never holds a capability. */
#include <kernel/cap.h>
#include <kernel/lock.h>

#define SLOTS_AT_ONCE 16

void cnode_init(struct object *o)
{
	struct cnode *c = (struct cnode *)o;

	c->slots_mask = BIT(o->size_bits - L4_CNODE_SLOT_BITS) - 1;
	c->cursor = 1;
}

/* Empties one slot a step. No thread uses the CNode: it would hold a capability. */
bool cnode_destroy(struct object *o)
{
	struct cnode *c = (struct cnode *)o;

	for (u32 k = 0; k < SLOTS_AT_ONCE && c->cursor <= c->slots_mask; k++) {
		struct slot *s = (struct slot *)c + c->cursor;

		if (!s->type) {
			c->cursor++;
			continue;
		}
		slot_take(s);
		return false;
	}
	return c->cursor > c->slots_mask;
}

/* Does the next step of its destruction delete a capability whose deletion may take long? */
bool cnode_step_is_slow(struct cnode *c)
{
	struct slot *s = (struct slot *)c + c->cursor;

	return c->cursor <= c->slots_mask && capability_is_slow(slot_has_derived(s) ? s->next : s);
}

static error_t empty_slot(struct cnode *c, u64 index, struct slot **dst)
{
	*dst = cnode_slot(c, index);
	if (!*dst)
		return L4_ERR_RANGE;
	return (*dst)->type ? L4_ERR_OCCUPIED : L4_ERR_OK;
}

error_t cap_destination(struct invocation *i, u64 cnode_cap, u64 index, struct slot **dst)
{
	struct slot *cap;
	error_t error = cap_lookup_type(i->caller, cnode_cap, L4_TYPE_CNODE, L4_RIGHT_WRITE, &cap);

	return error ? error : empty_slot(SLOT_OBJECT(cap, cnode), index, dst);
}

/* The slot that COPY, MINT and MOVE take from; it is not empty. Their arguments are the first ones of MINT. */
static error_t source(struct invocation *i, struct slot **src)
{
	struct slot *cap;
	error_t error =
		cap_lookup_type(i->caller, i->arg.cnode_mint.src_cnode_cap, L4_TYPE_CNODE, L4_RIGHT_WRITE, &cap);

	if (error)
		return error;
	*src = cnode_slot(SLOT_OBJECT(cap, cnode), i->arg.cnode_mint.src_index);
	if (!*src)
		return L4_ERR_RANGE;
	return (*src)->type ? L4_ERR_OK : L4_ERR_CAP;
}

/* Badge of the new capability, or ERR_ARG when the source does not allow it. */
static error_t mint_badge(const struct slot *src, u64 wanted, u64 *badge)
{
	*badge = src->word;
	switch (src->type) {
	case L4_TYPE_ENDPOINT:
	case L4_TYPE_NOTIFICATION:
	case L4_TYPE_IRQ_HANDLER:
		if (wanted && src->badge)
			return L4_ERR_ARG;
		if (wanted)
			*badge = wanted;
		return L4_ERR_OK;
	case L4_TYPE_IOPORT:
		if (wanted >> 32 || (wanted & 0xffff) < src->ports.first || wanted >> 16 > src->ports.last ||
		    (wanted & 0xffff) > wanted >> 16)
			return L4_ERR_ARG;
		*badge = wanted;
		return L4_ERR_OK;
	default:
		return wanted ? L4_ERR_ARG : L4_ERR_OK;
	}
}

static error_t cnode_copy(struct invocation *i, struct cnode *c, bool mint)
{
	struct slot *dst, *src;
	u64 badge;
	error_t error = empty_slot(c, i->arg.cnode_mint.index, &dst);

	if (error)
		return error;
	error = source(i, &src);
	if (error)
		return error;
	if (src->type == L4_TYPE_UNTYPED)
		return L4_ERR_TYPE;
	badge = src->word;
	if (mint) {
		error = mint_badge(src, i->arg.cnode_mint.badge, &badge);
		if (error)
			return error;
	}
	stop_users_of_slots(c);
	slot_copy(dst, src, i->arg.cnode_mint.rights, badge, mint);
	return L4_ERR_OK;
}

/* MOVE: the slot keeps its place in the list of derivation, and a Frame its place in its VSpace. */
static error_t cnode_move(struct invocation *i, struct cnode *c)
{
	struct slot *dst, *src;
	error_t error = empty_slot(c, i->arg.cnode_move.index, &dst);

	if (error)
		return error;
	error = source(i, &src);
	if (error)
		return error;
	*dst = *src;
	if (dst->prev)
		dst->prev->next = dst;
	if (dst->next)
		dst->next->prev = dst;
	capability_moved(src, dst);
	memset(src, 0, sizeof(*src));
	return L4_ERR_OK;
}

error_t cnode_invoke(struct invocation *i)
{
	struct cnode *c = SLOT_OBJECT(i->slot, cnode);
	struct slot *s;
	error_t error;

	if (i->op > L4_CNODE_REVOKE)
		return L4_ERR_OP;
	if (!(i->slot->rights & L4_RIGHT_WRITE))
		return L4_ERR_RIGHTS;
	switch (i->op) {
	case L4_CNODE_COPY:
		return cnode_copy(i, c, false);
	case L4_CNODE_MINT:
		return cnode_copy(i, c, true);
	case L4_CNODE_MOVE:
		return cnode_move(i, c);
	}
	s = cnode_slot(c, i->arg.cnode_delete.index); /* and of REVOKE */
	if (!s)
		return L4_ERR_RANGE;
	if (i->op == L4_CNODE_REVOKE)
		return s->type ? slot_revoke(s, &i->again) : L4_ERR_CAP;
	/* Repeated, after the slot itself was emptied? */
	if (!s->type && i->caller->restart != s)
		return L4_ERR_CAP;
	error = s->type ? slot_delete(s, &i->again) : slot_reap(&i->again);
	i->caller->restart = i->again && !s->type ? s : NULL;
	/* An Untyped may come into the slot before the call is repeated: no RETYPE of it goes on from here. */
	i->caller->restart_in = NULL;
	return error;
}
