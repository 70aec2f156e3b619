// SPDX-License-Identifier: GPL-2.0-only
/* The walk through a guest's page table: read-only, every step checked against the guest's memory. */
#include <kernel/arch.h>
#include <kernel/fill.h>
#include <kernel/paging.h>

u32 guest_rights(u64 e)
{
	return (e & L4_PTE_READ ? L4_RIGHT_READ : 0) | (e & L4_PTE_WRITE ? L4_RIGHT_WRITE : 0) |
	       (e & L4_PTE_EXEC ? L4_RIGHT_EXEC : 0);
}

/*
 * In the region of the table before it, or in the first one, as it is as a rule, each table needs no search. Tables and
 * regions are whole pages, so one that begins in a region is inside of it; a region that is not there has no size.
 * *last becomes the entry of the last level, valid or not, if the walk comes to it.
 */
static inline __attribute__((always_inline)) u64 *walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value,
                                                       int *level, u64 **last)
{
	const struct region *r = v->region;

#pragma GCC unroll 4
	for (int l = 3; l >= 0; l--) {
		u64 e, *entry;

		if (unlikely(table_gpa - r->gpa >= r->size)) {
			r = guest_region(v, table_gpa, L4_PAGE_SIZE);
			if (!r)
				return NULL;
		}
		entry = (u64 *)arch_ptr(r->pa + index_nospec(table_gpa - r->gpa, r->size)) + level_index(vaddr, l);
		if (!l)
			*last = entry;
		e = READ_ONCE(*entry);
		if (!(e & L4_PTE_VALID))
			return NULL;
		if (!l || (e & L4_PTE_LEAF)) {
			if (l > 1 || !(e & L4_PTE_LEAF))
				return NULL;
			*value = e;
			*level = l;
			return entry;
		}
		table_gpa = e & L4_PTE_ADDR_MASK;
	}
	return NULL;
}

u64 *guest_walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value, int *level)
{
	u64 *last;

	return walk(v, table_gpa, vaddr, value, level, &last);
}

/* The walk of a GuestSpace's table. Where it comes to a table of the last level, that is known from now on. */
noinline u64 *guest_walk_anew(struct vspace *v, struct guestspace *g, u64 vaddr, u64 *value, int *level)
{
	u64 *last = NULL, *leaf;

	if (!aligned(g->guest_root, L4_PAGE_SIZE)) /* NEVER is not aligned */
		return NULL;
	leaf = walk(v, g->guest_root, vaddr, value, level, &last);
	if (last)
		guest_place_for(g, vaddr)->guest = last - level_index(vaddr, 0);
	return leaf;
}
