/* SPDX-License-Identifier: GPL-2.0-only */
/* Look-up of the calling thread's capabilities: by index, type and rights. */
#ifndef KERNEL_CAP_H
#define KERNEL_CAP_H

#include <kernel/cnode.h>
#include <kernel/thread.h>

static inline error_t cap_lookup(struct thread *t, u64 index, struct slot **out)
{
	struct slot *s = t->cnode ? cnode_slot(t->cnode, index) : NULL;

	if (unlikely(!s || !s->type))
		return L4_ERR_CAP;
	*out = s;
	return L4_ERR_OK;
}

static inline error_t cap_lookup_type(struct thread *t, u64 index, u8 type, u8 rights, struct slot **out)
{
	error_t error = cap_lookup(t, index, out);

	if (unlikely(error))
		return error;
	if (unlikely((*out)->type != type))
		return L4_ERR_TYPE;
	if (unlikely(((*out)->rights & rights) != rights))
		return L4_ERR_RIGHTS;
	return L4_ERR_OK;
}

/*
 * The same for hot paths: NULL for any error. t runs, so it has a CNode. An empty slot has no type; what is in the place
 * of slot 0 begins with the type of a CNode, which is never looked for here.
 */
static inline struct slot *cap_find(struct thread *t, u64 index, u8 type, u8 rights)
{
	struct cnode *c = t->cnode;
	struct slot *s = (struct slot *)c + (index & c->slots_mask); /* see cnode_slot() */

	_Static_assert(!offsetof(struct cnode, obj.type) && !offsetof(struct slot, type), "slot 0");
	if (unlikely(index > c->slots_mask) ||
	    unlikely((s->type_rights & (0xff | rights << 8)) != (type | rights << 8)))
		return NULL;
	return s;
}

/* Find slot `index` of the CNode cnode_cap, which must be empty, for a new capability. */
error_t cap_destination(struct invocation *i, u64 cnode_cap, u64 index, struct slot **dst);

#endif
