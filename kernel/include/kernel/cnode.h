/* SPDX-License-Identifier: GPL-2.0-only */
/* CNode: a flat table of slots, so that looking a capability up is one load. */
#ifndef KERNEL_CNODE_H
#define KERNEL_CNODE_H

#include <kernel/object.h>

struct cnode {
	struct object obj;
	u64 slots_mask; /* number of slots - 1 */
	u64 cursor;     /* while it is destroyed: next slot to empty */
};
/* Slot 0 of a CNode is never a capability: the object's own header takes its place. */
_Static_assert(sizeof(struct cnode) <= sizeof(struct slot), "cnode header");

/* The slot at index, NULL if there is none. The mask keeps the CPU's speculation inside, as index_nospec(). */
static inline struct slot *cnode_slot(struct cnode *c, u64 index)
{
	return index && index <= c->slots_mask ? (struct slot *)c + (index & c->slots_mask) : NULL;
}

bool cnode_step_is_slow(struct cnode *c);

#endif
