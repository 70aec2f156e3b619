// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-table trees. All pages come from the pool of one VSpace. Each pool page has a descriptor that tells
 * which of its entries may be in use, so that clearing and scanning a page cost what was used of it.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/vspace.h>

static inline u64 index_of(u64 vaddr, int level) { return vaddr >> (L4_PAGE_BITS + 9 * level) & 511; }
static inline u64 span(int level) { return 1UL << (L4_PAGE_BITS + 9 * level); }

static u64 *pool_page(struct vspace *v, u32 n) { return (u64 *)(v->pool + (u64)n * L4_PAGE_SIZE); }

/* A zeroed page, on the owner's list; NULL when the pool is empty. */
static u64 *alloc(struct vspace *v, struct guestspace *owner)
{
	u32 n;

	if (v->free_list) {
		n = v->free_list - 1;
		struct table *d = &v->tables[n];

		v->free_list = d->next;
		if (d->low <= d->high)
			memset(pool_page(v, n) + d->low, 0, (d->high - d->low + 1) * sizeof(u64));
	} else if (v->fresh < v->pool_pages) {
		n = v->fresh++;
	} else {
		return NULL;
	}
	v->pool_free--;
	event(EVENT_TABLE, arch_pa(pool_page(v, n)), 0);
	v->tables[n] = (struct table){ .low = 511, .high = 0 };
	if (owner) {
		v->tables[n].next = owner->tables;
		owner->tables = n + 1;
	}
	return pool_page(v, n);
}

/* The entry may be in use from now on. */
void table_note_use(struct vspace *v, const u64 *entry)
{
	struct table *d = &v->tables[((char *)entry - v->pool) / L4_PAGE_SIZE];
	u16 i = (u64)entry / sizeof(u64) & 511;

	if (i < d->low)
		d->low = i;
	if (i > d->high)
		d->high = i;
}

/*
 * Entry for vaddr at a level, with tables made on the way if `make`. NULL: no table there, no memory, or a
 * larger leaf in the way.
 */
u64 *table_entry(struct vspace *v, struct guestspace *owner, u64 *root, u64 vaddr, int level, bool make)
{
	u64 *table = root;

	for (int l = ARCH_LEVELS - 1;; l--) {
		u64 *e = &table[index_of(vaddr, l)];

		if (make && table != root)
			table_note_use(v, e);
		if (l == level)
			return e;
		if (!pte_valid(*e)) {
			if (!make)
				return NULL;
			table = alloc(v, owner);
			if (!table)
				return NULL;
			*e = pte_table(arch_pa(table));
			if (owner && l == ARCH_LEVELS - 1)
				owner->used[index_of(vaddr, l) / 64] |= BIT(index_of(vaddr, l) % 64);
		} else if (pte_leaf(*e, l)) {
			return NULL;
		} else {
			table = arch_ptr(pte_addr(*e));
		}
	}
}

/* The leaf that translates vaddr and its level, or NULL. */
u64 *table_lookup(u64 *root, u64 vaddr, int *level)
{
	u64 *table = root;

	for (int l = ARCH_LEVELS - 1; l >= 0; l--) {
		u64 *e = &table[index_of(vaddr, l)];

		if (!pte_valid(*e))
			return NULL;
		if (pte_leaf(*e, l)) {
			*level = l;
			return e;
		}
		table = arch_ptr(pte_addr(*e));
	}
	return NULL;
}

enum change { CLEAR, CLEAR_FILLED, PROTECT };

static void change_range(u64 *table, int level, u64 start, u64 end, enum change how)
{
	for (u64 at = start; at < end;) {
		u64 next = min_u64(align_down(at, span(level)) + span(level), end);
		u64 *e = &table[index_of(at, level)];

		if (!pte_valid(*e))
			;
		else if (!pte_leaf(*e, level))
			change_range(arch_ptr(pte_addr(*e)), level - 1, at, next, how);
		else if (how == PROTECT)
			*e = pte_read_only(*e);
		else if (how == CLEAR || !(*e & ARCH_PTE_FRAME))
			*e = 0;
		at = next;
	}
}

/* Forget [start, end); large leaves that it touches go as a whole. */
void table_clear_range(u64 *root, u64 start, u64 end, bool keep_frames)
{
	change_range(root, ARCH_LEVELS - 1, start, min_u64(end, ARCH_USER_TOP), keep_frames ? CLEAR_FILLED : CLEAR);
}

void table_protect_range(u64 *root, u64 start, u64 end)
{
	change_range(root, ARCH_LEVELS - 1, start, min_u64(end, ARCH_USER_TOP), PROTECT);
}

/* Give all tables of a GuestSpace back to the pool. */
void guestspace_reset(struct guestspace *g)
{
	struct vspace *v = g->vspace;

	event(EVENT_FLUSH_SPACE, (u64)g, 0);
	for (u32 w = 0; w < ARCH_ROOT_ENTRIES / 64; w++) {
		for (u64 bits = g->used[w]; bits; bits &= bits - 1)
			g->root[w * 64 + __builtin_ctzl(bits)] = 0;
		g->used[w] = 0;
	}
	while (g->tables) {
		u32 n = g->tables - 1;

		g->tables = v->tables[n].next;
		v->tables[n].next = v->free_list;
		v->free_list = n + 1;
		v->pool_free++;
	}
	arch_root_flush(g->root_reg);
}

/* Give a last-level table of the VSpace's own tree back to the pool; entry names it. */
static void drop_own(struct vspace *v, u64 *entry)
{
	u32 n = ((char *)arch_ptr(pte_addr(*entry)) - v->pool) / L4_PAGE_SIZE;

	*entry = 0;
	v->tables[n].next = v->free_list;
	v->free_list = n + 1;
	v->pool_free++;
	/* The CPU may remember the table itself. */
	arch_root_flush(v->root_reg);
}

static bool holds_frames(const u64 *table)
{
	for (u32 i = 0; i < 512; i++)
		if (table[i] & ARCH_PTE_FRAME)
			return true;
	return false;
}

/*
 * A leaf is to take the place of what entry (of level 1) names: a table in which no Frame is mapped goes.
 * False if the table is in use.
 */
bool table_make_way(struct vspace *v, u64 *entry)
{
	if (holds_frames(arch_ptr(pte_addr(*entry))))
		return false;
	drop_own(v, entry);
	return true;
}

/* Take back last-level tables that hold only what was filled from the guest kernel's own table. */
static bool reclaim_own(struct vspace *v, u64 *table, int level)
{
	bool any = false;

	for (u32 i = 0; i < (level == ARCH_LEVELS - 1 ? ARCH_ROOT_ENTRIES : 512); i++) {
		if (!pte_valid(table[i]) || pte_leaf(table[i], level))
			continue;
		if (level > 1)
			any |= reclaim_own(v, arch_ptr(pte_addr(table[i])), level - 1);
		else
			any |= table_make_way(v, &table[i]);
	}
	return any;
}

/*
 * The pool is empty: take the tables of the GuestSpace that was entered longest ago, and if there is none, the
 * guest kernel's own that can be filled again.
 */
bool table_make_room(struct vspace *v, struct guestspace *keep)
{
	for (struct list *l = v->spaces.next; l != &v->spaces; l = l->next) {
		struct guestspace *g = container_of(l, struct guestspace, link);

		if (g->tables && g != keep) {
			guestspace_reset(g);
			event(EVENT_EVICTION, (u64)g, 0);
			return true;
		}
	}
	if (keep && keep->tables)
		guestspace_reset(keep);
	else if (!reclaim_own(v, v->root, ARCH_LEVELS - 1))
		return false;
	event(EVENT_EVICTION, (u64)keep, 0);
	return true;
}
