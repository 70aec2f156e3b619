/* SPDX-License-Identifier: GPL-2.0-only */
/* From a guest's page table to L4's own: misses, hints, and room in the pool for them. */
#ifndef KERNEL_FILL_H
#define KERNEL_FILL_H

#include <kernel/guestspace.h>

/*
 * guest/walk.c: the leaf of vaddr in the guest's table. Returns its place in kernel memory, its value and its level;
 * NULL if any step is not valid or not in the guest's memory.
 */
u64 *guest_walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value, int *level);
u64 *guest_walk_anew(struct vspace *v, struct guestspace *g, u64 vaddr, u64 *value, int *level);
u32 guest_rights(u64 pte);

/* The place for vaddr, with what is known of others gone. */
static inline struct guest_place *guest_place_for(struct guestspace *g, u64 vaddr)
{
	struct guest_place *p = guestspace_place(g, vaddr);

	if (p->at != vaddr >> L4_LARGE_PAGE_BITS)
		*p = (struct guest_place){ .at = vaddr >> L4_LARGE_PAGE_BITS };
	return p;
}

/* The entry for vaddr in the guest's table of the last level, if that is known. */
static inline u64 *guest_known_entry(struct guestspace *g, u64 vaddr)
{
	const struct guest_place *p = guestspace_place(g, vaddr);

	return p->at == vaddr >> L4_LARGE_PAGE_BITS && p->guest ? p->guest + level_index(vaddr, 0) : NULL;
}

/* The most frequent fault: the table is known, and has nothing there. */
static inline bool guest_lacks(struct guestspace *g, u64 vaddr)
{
	const u64 *entry = guest_known_entry(g, vaddr);

	return entry && !(READ_ONCE(*entry) & L4_PTE_VALID);
}

/*
 * guest/fill.c. A miss of GuestSpace g, or of the guest kernel's own table with g NULL. False: the guest has to handle
 * it; *present says whether it has a valid leaf there.
 */
bool guest_fill(struct vspace *v, struct guestspace *g, u64 guest_root, u64 vaddr, u32 access, u32 *present);
void guest_hint(struct guestspace *g, u64 vaddr, u64 pages); /* pages that the guest has just made valid */

/*
 * guest/evict.c. table_entry() has found no place for a leaf of vaddr in g's table, or, with g NULL, in the VSpace's
 * own: make one, and try again. False: a Frame is mapped there, or no memory can be had.
 */
bool evict_for(struct vspace *v, struct guestspace *g, u64 vaddr);

#endif
