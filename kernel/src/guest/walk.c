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

/* In the region of the table before it, or in the first one, as it is as a rule, each table needs no search. */
u64 *guest_walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value, int *level)
{
	const struct region *r = v->region;

	if (unlikely(!v->region_count))
		return NULL;
	for (int l = 3; l >= 0; l--) {
		u64 e, *entry;

		if (unlikely(table_gpa - r->gpa > r->size - L4_PAGE_SIZE)) {
			r = guest_region(v, table_gpa, L4_PAGE_SIZE);
			if (!r)
				return NULL;
		}
		entry = (u64 *)arch_ptr(r->pa + index_nospec(table_gpa - r->gpa, r->size)) + level_index(vaddr, l);
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
