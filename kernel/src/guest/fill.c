// SPDX-License-Identifier: GPL-2.0-only
/* Filling L4's tables from a guest's: on a miss, around it, and by hints of the guest. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/fill.h>
#include <kernel/paging.h>

#define AROUND 16 /* pages, aligned, that one miss may fill */

/* The guest's leaf of vaddr, as guest_walk() does. */
static inline u64 *space_walk(struct vspace *v, struct guestspace *g, u64 vaddr, u64 *value, int *level)
{
	u64 *leaf = guest_known_entry(g, vaddr);

	if (unlikely(!leaf))
		return guest_walk_anew(v, g, vaddr, value, level);
	*value = READ_ONCE(*leaf);
	*level = 0;
	return (*value & L4_PTE_VALID) && (*value & L4_PTE_LEAF) ? leaf : NULL;
}

/* L4's entry for a page of g; NULL as table_entry(). */
static noinline u64 *shadow_entry_anew(struct vspace *v, struct guestspace *g, u64 vaddr)
{
	u64 *e = table_entry(v, g, g->root, vaddr, 0, true);

	if (e)
		guest_place_for(g, vaddr)->shadow = e - level_index(vaddr, 0);
	return e;
}

static inline u64 *shadow_entry(struct vspace *v, struct guestspace *g, u64 vaddr)
{
	const struct guest_place *p = guestspace_place(g, vaddr);
	u64 *e;

	if (unlikely(p->at != vaddr >> L4_LARGE_PAGE_BITS) || unlikely(!p->shadow))
		return shadow_entry_anew(v, g, vaddr);
	e = p->shadow + level_index(vaddr, 0);
	assert(e == table_entry(v, g, g->root, vaddr, 0, false));
	pool_note_use(v, e);
	return e;
}

/* Physical address of a page of the guest's memory. False: it is none. Regions are whole pages. */
static inline bool page_memory(struct vspace *v, u64 gpa, u64 *pa)
{
	const struct region *r = v->region;

	if (unlikely(gpa - r->gpa >= r->size))
		return guest_memory(v, gpa, L4_PAGE_SIZE, pa);
	*pa = r->pa + (gpa - r->gpa);
	return true;
}

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
	return g ? shadow_entry(v, g, vaddr) : table_entry(v, NULL, root, vaddr, 0, true);
}

/* A clean page stays read-only, so that its first write is seen. */
static inline u32 rights_of(u64 guest_pte)
{
	return guest_rights(guest_pte) & ~(guest_pte & L4_PTE_DIRTY ? 0 : L4_RIGHT_WRITE);
}

/* Install one translation to memory at pa; false: see leaf_entry(), or a mapped Frame is in the way. */
static bool install(struct vspace *v, struct guestspace *g, u64 vaddr, u64 guest_pte, u64 pa, int level)
{
	u64 *e = leaf_entry(v, g, vaddr, &pa, &level);

	if (!e)
		return false;
	if (*e & ARCH_PTE_FRAME)
		return false;
	if (unlikely(pte_valid(*e) && pte_addr(*e) != pa))
		table_clear_leaf(e, g ? g->root_reg : v->root_reg);
	*e = vspace_leaf(v, vaddr, pte_make(pa, rights_of(guest_pte), false, level));
	return true;
}

/*
 * Fill one page of a GuestSpace by the guest's entry e, if it needs nothing but filling. What is filled already stays, or
 * with `anew` gets the rights of now.
 */
static inline void fill_page(struct vspace *v, u64 *shadow, u64 e, u64 vaddr, bool anew)
{
	const u64 need = L4_PTE_VALID | L4_PTE_USER | L4_PTE_ACCESSED | L4_PTE_READ | L4_PTE_LEAF;
	u64 pa;

	if ((e & need) != need || (pte_valid(*shadow) && !anew) || !page_memory(v, e & L4_PTE_ADDR_MASK, &pa) ||
	    (pte_valid(*shadow) && pte_addr(*shadow) != pa))
		return;
	*shadow = pte_make(pa, rights_of(e), false, 0);
	event(anew ? EVENT_FILL_HINT : EVENT_FILL_AROUND, vaddr, 0);
}

/* Fill count pages from vaddr on, all of one last-level table, from the guest's entries for them: one look-up for all. */
static void fill_run(struct vspace *v, struct guestspace *g, u64 vaddr, const u64 *guest, u64 count, bool anew)
{
	u64 *shadow = shadow_entry(v, g, vaddr);

	if (!shadow)
		return;
	for (u64 k = 0; k < count; k++)
		fill_page(v, &shadow[k], READ_ONCE(guest[k]), vaddr + k * L4_PAGE_SIZE, anew);
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
	u64 e, *leaf, wanted, size, pa;
	int level;

	*present = 0;
	if (unlikely(vaddr >= ARCH_USER_TOP)) {
		if (g || !vspace_has_range(v, vaddr, 1))
			return false;
		vaddr = arch_table_address(vaddr);
	}
	if (!aligned(guest_root, L4_PAGE_SIZE)) /* NEVER is not aligned */
		return false;
	leaf = g ? space_walk(v, g, vaddr, &e, &level) : guest_walk(v, guest_root, vaddr, &e, &level);
	if (!leaf)
		return false;
	*present = 1;
	size = level_span(level);
	if (!!(e & L4_PTE_USER) != !!g || (guest_rights(e) & access) != access ||
	    (level ? !guest_memory(v, e & L4_PTE_ADDR_MASK & ~(size - 1), size, &pa)
	           : !page_memory(v, e & L4_PTE_ADDR_MASK, &pa)))
		return false;
	wanted = e | L4_PTE_ACCESSED | (access & L4_RIGHT_WRITE ? L4_PTE_DIRTY : 0);
	/* If the guest has changed the entry meanwhile, the access is repeated. */
	if (wanted != e && !__atomic_compare_exchange_n(leaf, &e, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return true;
	while (!install(v, g, vaddr, wanted, pa, level))
		if (!evict_for(v, g, vaddr))
			return false;
	event(EVENT_FILL, vaddr, wanted);
	if (g && !level)
		fill_around(v, g, vaddr, leaf);
	return true;
}

/* Several pages that the guest has just made valid. */
static noinline void hint_pages(struct guestspace *g, u64 vaddr, u64 pages)
{
	while (pages && vaddr < ARCH_USER_TOP) {
		u64 count = min_u64(pages, TABLE_ENTRIES - level_index(vaddr, 0)), e;
		const u64 *leaf;
		int level;

		count = min_u64(count, (ARCH_USER_TOP - vaddr) >> L4_PAGE_BITS);
		leaf = space_walk(g->vspace, g, vaddr, &e, &level);
		if (!leaf || level)
			return;
		fill_run(g->vspace, g, vaddr, leaf, count, true);
		vaddr += count * L4_PAGE_SIZE;
		pages -= count;
	}
}

void guest_hint(struct guestspace *g, u64 vaddr, u64 pages)
{
	u64 *shadow, e;
	int level;

	if (unlikely(pages != 1) || unlikely(vaddr >= ARCH_USER_TOP)) {
		hint_pages(g, vaddr, pages);
		return;
	}
	if (!space_walk(g->vspace, g, vaddr, &e, &level) || level)
		return;
	shadow = shadow_entry(g->vspace, g, vaddr);
	if (shadow)
		fill_page(g->vspace, shadow, e, vaddr, true);
}
