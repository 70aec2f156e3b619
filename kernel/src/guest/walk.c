// SPDX-License-Identifier: GPL-2.0-only
/* The walk through a guest's page table: read-only, every step checked against the guest's memory. */
#include <kernel/cpu.h>
#include <kernel/fill.h>
#include <kernel/paging.h>

u32 guest_rights(u64 e)
{
	return (e & L4_PTE_READ ? L4_RIGHT_READ : 0) | (e & L4_PTE_WRITE ? L4_RIGHT_WRITE : 0) |
	       (e & L4_PTE_EXEC ? L4_RIGHT_EXEC : 0);
}

u64 *guest_walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value, int *level)
{
	for (int l = 3; l >= 0; l--) {
		u64 index = level_index(vaddr, l);
		u64 *table = guest_memory(v, table_gpa, L4_PAGE_SIZE, NULL);
		u64 e;

		if (unlikely(!table))
			return NULL;
		e = READ_ONCE(table[index]);
		if (!(e & L4_PTE_VALID))
			return NULL;
		if (!l || (e & L4_PTE_LEAF)) {
			if (l > 1 || !(e & L4_PTE_LEAF))
				return NULL;
			*value = e;
			*level = l;
			return &table[index];
		}
		table_gpa = e & L4_PTE_ADDR_MASK;
	}
	return NULL;
}
