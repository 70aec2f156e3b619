// SPDX-License-Identifier: GPL-2.0-only
/* Room for a translation when the pool is empty or a larger leaf is in the way. See fill.h. */
#include <kernel/arch.h>
#include <kernel/fill.h>
#include <kernel/paging.h>

/*
 * The pool is empty: take the tables of the GuestSpace that was entered longest ago, and if there is none, those
 * of `keep` itself, if they are enough for a translation, or else a table of the guest kernel's own that can be
 * filled again. So a caller that tries again after each success comes to an end.
 */
static bool make_room(struct vspace *v, struct guestspace *keep)
{
	struct list *l = v->holders.next;

	if (keep && l == &keep->link)
		l = l->next;
	if (l != &v->holders)
		guestspace_reset(container_of(l, struct guestspace, link));
	else if (keep && keep->tables && keep->table_count + v->pool_free >= (u32)ARCH_LEVELS - 1)
		guestspace_reset(keep);
	else if (!table_drop_oldest(v))
		return false;
	event(EVENT_EVICTION, (u64)keep, 0);
	return true;
}

bool evict_for(struct vspace *v, struct guestspace *g, u64 vaddr)
{
	int level;
	u64 *larger = table_lookup(g ? g->root : v->root, vaddr, &level);

	if (!larger)
		return make_room(v, g);
	if (*larger & ARCH_PTE_FRAME)
		return false;
	table_clear_leaf(larger, g ? g->root_reg : v->root_reg);
	return true;
}
