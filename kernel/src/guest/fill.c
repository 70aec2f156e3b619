// SPDX-License-Identifier: GPL-2.0-only
/* Filling L4's tables from a guest's: on a miss, around it, and by hints of the guest. */
#include <kernel/arch.h>
#include <kernel/fill.h>
#include <kernel/paging.h>

#define AROUND 16 /* pages, aligned, that one miss may fill */

/*
 * Entry for a leaf of vaddr that maps memory at *pa. Where the memory is not aligned for a large leaf, or small ones
 * are there already (which are correct or flushed), a small leaf of the page does: *level and *pa are changed then.
 * NULL: a larger leaf is in the way, or the pool is empty.
 */
static u64 *leaf_entry(struct vspace *v, struct guestspace *g, u64 vaddr, u64 *pa, int *level)
{
	u64 *root = g ? g->root : v->root, *e;

	if (*level) {
		e = aligned(*pa, level_span(*level)) ? table_entry(v, g, root, vaddr, *level, true) : NULL;
		if (e && (!pte_valid(*e) || pte_leaf(*e, *level)))
			return e;
		*pa += align_down(level_offset(vaddr, *level), L4_PAGE_SIZE);
		*level = 0;
	}
	return table_entry(v, g, root, vaddr, 0, true);
}

/* Install one translation; false: see leaf_entry(), or a mapped Frame is in the way. */
static bool install(struct vspace *v, struct guestspace *g, u64 vaddr, u64 guest_pte, int level)
{
	u64 size = level_span(level), pa, *e;
	u32 rights = guest_rights(guest_pte);

	if (!guest_memory(v, guest_pte & L4_PTE_ADDR_MASK & ~(size - 1), size, &pa))
		return false;
	/* A clean page stays read-only, so that its first write is seen. */
	if (!(guest_pte & L4_PTE_DIRTY))
		rights &= ~L4_RIGHT_WRITE;
	e = leaf_entry(v, g, vaddr, &pa, &level);
	if (!e)
		return false;
	if (*e & ARCH_PTE_FRAME)
		return false;
	if (unlikely(pte_valid(*e) && pte_addr(*e) != pa))
		table_clear_leaf(e, g ? g->root_reg : v->root_reg);
	*e = vspace_leaf(v, vaddr, pte_make(pa, rights, false, level));
	return true;
}

/*
 * Fill count pages from vaddr on, all of one last-level table, from the guest's entries for them: one look-up for all.
 * Only those that need nothing but filling. What is filled already stays, or with `anew` gets the rights of now.
 */
static void fill_run(struct vspace *v, struct guestspace *g, u64 vaddr, const u64 *guest, u64 count, bool anew)
{
	const u64 need = L4_PTE_VALID | L4_PTE_USER | L4_PTE_ACCESSED | L4_PTE_READ | L4_PTE_LEAF;
	u64 *shadow = table_entry(v, g, g->root, vaddr, 0, true);

	if (!shadow)
		return;
	for (u64 k = 0; k < count; k++) {
		u64 e = READ_ONCE(guest[k]), pa;

		if ((e & need) != need || (pte_valid(shadow[k]) && !anew) ||
		    !guest_memory(v, e & L4_PTE_ADDR_MASK, L4_PAGE_SIZE, &pa) ||
		    (pte_valid(shadow[k]) && pte_addr(shadow[k]) != pa))
			continue;
		shadow[k] = pte_make(pa, guest_rights(e) & ~(e & L4_PTE_DIRTY ? 0 : L4_RIGHT_WRITE), false, 0);
		event(anew ? EVENT_FILL_HINT : EVENT_FILL_AROUND, vaddr + k * L4_PAGE_SIZE, 0);
	}
	/* The look-up noted the first. */
	pool_note_use(v, &shadow[count - 1]);
}

/* Neighbours of a page that missed, in the same table, if accessed before: their use is likely. */
static void fill_around(struct vspace *v, struct guestspace *g, u64 vaddr, const u64 *guest_leaf)
{
	u64 behind = vaddr >> L4_PAGE_BITS & (AROUND - 1);

	fill_run(v, g, align_down(vaddr, AROUND * L4_PAGE_SIZE), guest_leaf - behind, AROUND, false);
}

/*
 * Resolve a miss at vaddr from the guest's table: of GuestSpace g, or, with g NULL, of the guest kernel's own
 * VSpace. False if the guest has to see it; *present then tells whether a valid leaf was found.
 */
bool guest_fill(struct vspace *v, struct guestspace *g, u64 guest_root, u64 vaddr, u32 access, u32 *present)
{
	u64 e, *leaf, wanted, size;
	int level;

	*present = 0;
	if (unlikely(vaddr >= ARCH_USER_TOP)) {
		if (g || !vspace_has_range(v, vaddr, 1))
			return false;
		vaddr = arch_table_address(vaddr);
	}
	if (!aligned(guest_root, L4_PAGE_SIZE)) /* NEVER is not aligned */
		return false;
	leaf = guest_walk(v, guest_root, vaddr, &e, &level);
	if (!leaf)
		return false;
	*present = 1;
	size = level_span(level);
	if (!!(e & L4_PTE_USER) != !!g || (guest_rights(e) & access) != access ||
	    !guest_memory(v, e & L4_PTE_ADDR_MASK & ~(size - 1), size, NULL))
		return false;
	wanted = e | L4_PTE_ACCESSED | (access & L4_RIGHT_WRITE ? L4_PTE_DIRTY : 0);
	/* If the guest has changed the entry meanwhile, the access is repeated. */
	if (wanted != e && !__atomic_compare_exchange_n(leaf, &e, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return true;
	while (!install(v, g, vaddr, wanted, level))
		if (!evict_for(v, g, vaddr))
			return false;
	event(EVENT_FILL, vaddr, wanted);
	if (g && !level)
		fill_around(v, g, vaddr, leaf);
	return true;
}

/* Pages that the guest has just made valid. */
void guest_hint(struct guestspace *g, u64 vaddr, u64 pages)
{
	while (pages && vaddr < ARCH_USER_TOP && g->guest_root != NEVER) {
		u64 count = min_u64(pages, TABLE_ENTRIES - level_index(vaddr, 0)), e;
		const u64 *leaf;
		int level;

		count = min_u64(count, (ARCH_USER_TOP - vaddr) >> L4_PAGE_BITS);
		leaf = guest_walk(g->vspace, g->guest_root, vaddr, &e, &level);
		if (!leaf || level)
			return;
		fill_run(g->vspace, g, vaddr, leaf, count, true);
		vaddr += count * L4_PAGE_SIZE;
		pages -= count;
	}
}
