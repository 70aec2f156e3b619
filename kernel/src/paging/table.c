// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page-table trees. All pages come from the pool of one VSpace. Each pool page has a descriptor that tells
 * which of its entries may be in use, so that clearing and scanning a page cost what was used of it.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/paging.h>
#include <kernel/vspace.h>

/* Descriptors name each other by 16 bits. */
_Static_assert(L4_VSPACE_MAX_BITS - L4_PAGE_BITS < 16, "struct table");

static u64 *pool_page(struct vspace *v, u32 n) { return (u64 *)(v->pool + (u64)n * L4_PAGE_SIZE); }

/* Number of the pool page that holds an entry, or that a table's address is. */
static u32 page_number(struct vspace *v, const u64 *entry)
{
	return (u64)((const char *)entry - v->pool) / L4_PAGE_SIZE;
}

static struct table *descriptor(struct vspace *v, const u64 *entry) { return &v->tables[page_number(v, entry)]; }

static void free_page(struct vspace *v, u32 n)
{
	v->tables[n].next = v->free_list;
	v->free_list = n + 1;
	v->pool_free++;
}

/* The list of last-level tables of the VSpace's own tree in which no Frame is mapped, the oldest first. */
static void filled_add(struct vspace *v, u32 n)
{
	struct table *d = &v->tables[n];

	d->next = 0;
	d->prev = v->filled_last;
	if (d->prev)
		v->tables[d->prev - 1].next = n + 1;
	else
		v->filled_first = n + 1;
	v->filled_last = n + 1;
}

static void filled_remove(struct vspace *v, u32 n)
{
	struct table *d = &v->tables[n];

	if (d->prev)
		v->tables[d->prev - 1].next = d->next;
	else
		v->filled_first = d->next;
	if (d->next)
		v->tables[d->next - 1].prev = d->prev;
	else
		v->filled_last = d->prev;
}

/* A zeroed page for a table of a level that translates vaddr, on its owner's list; NULL when the pool is empty. */
static u64 *alloc(struct vspace *v, struct guestspace *owner, u64 vaddr, int level)
{
	struct table *d;
	u32 n;

	if (v->free_list) {
		n = v->free_list - 1;
		d = &v->tables[n];
		v->free_list = d->next;
		if (d->low <= d->high)
			memset(pool_page(v, n) + d->low, 0, (d->high - d->low + 1) * sizeof(u64));
	} else if (v->fresh < v->pool_pages) {
		n = v->fresh++;
		d = &v->tables[n];
	} else {
		return NULL;
	}
	v->pool_free--;
	event(EVENT_TABLE, arch_pa(pool_page(v, n)), 0);
	*d = (struct table){ .low = TABLE_ENTRIES - 1, .high = 0 };
	if (owner) {
		if (!owner->tables) {
			owner->last_table = n + 1;
			list_remove(&owner->link);
			list_add_tail(&v->holders, &owner->link);
		}
		d->next = owner->tables;
		owner->tables = n + 1;
		owner->table_count++;
	} else if (!level) {
		d->place = vaddr >> L4_LARGE_PAGE_BITS;
		filled_add(v, n);
	}
	return pool_page(v, n);
}

/* The entry may be in use from now on. */
void table_note_use(struct vspace *v, const u64 *entry)
{
	struct table *d = descriptor(v, entry);
	u16 i = (u64)entry / sizeof(u64) & (TABLE_ENTRIES - 1);

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
		u64 *e = &table[level_index(vaddr, l)];

		if (make && table != root)
			table_note_use(v, e);
		if (l == level)
			return e;
		if (!pte_valid(*e)) {
			if (!make)
				return NULL;
			table = alloc(v, owner, vaddr, l - 1);
			if (!table)
				return NULL;
			*e = pte_table(arch_pa(table));
			if (owner && l == ARCH_LEVELS - 1)
				owner->used[level_index(vaddr, l) / 64] |= BIT(level_index(vaddr, l) % 64);
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
		u64 *e = &table[level_index(vaddr, l)];

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

/* Write a leaf of MAP's into an entry that is not valid. */
void table_set_frame(struct vspace *v, u64 *entry, u64 leaf, int level)
{
	u32 n = page_number(v, entry);

	assert(!pte_valid(*entry));
	*entry = leaf | ARCH_PTE_FRAME;
	if (!v->tables[n].frames++ && !level)
		filled_remove(v, n);
}

struct sweep {
	struct vspace *v;
	u64 at; /* everything before it is done */
	enum table_change how;
	struct work *work;
};

static inline void change_leaf(struct sweep *s, u64 *e, int level)
{
	if (s->how == TABLE_PROTECT) {
		*e = pte_read_only(*e);
	} else if (!(*e & ARCH_PTE_FRAME)) {
		*e = 0;
	} else if (s->how == TABLE_CLEAR) {
		u32 n = page_number(s->v, e);

		*e = 0;
		assert(s->v->tables[n].frames);
		if (!--s->v->tables[n].frames && !level)
			filled_add(s->v, n);
	}
}

/* Of a last-level table: entries first to last. */
static inline void change_pages(struct sweep *s, u64 *first, const u64 *last)
{
	for (u64 *e = first; e <= last; e++)
		if (pte_valid(*e))
			change_leaf(s, e, 0);
}

/* [s->at, end) is translated by this table. False: preempted. */
static bool change_table(struct sweep *s, u64 *table, int level, u64 end)
{
	u64 span = level_span(level), stop = end;

	if (level < ARCH_LEVELS - 1) {
		const struct table *d = descriptor(s->v, table);
		u64 base = align_down(s->at, level_span(level + 1));

		/* Other entries are zero. */
		if (s->at < base + d->low * span)
			s->at = base + d->low * span;
		stop = min_u64(end, base + (d->high + 1) * span);
	}
	if (!level) {
		u64 steps = 1;

		if (s->at < stop) {
			u64 first = level_index(s->at, 0), last = level_index(stop - 1, 0);

			change_pages(s, table + first, table + last);
			steps += last - first;
		}
		s->at = end;
		return !work_preempted(s->work, steps);
	}
	while (s->at < stop) {
		u64 next = min_u64(align_down(s->at, span) + span, end);
		u64 *e = &table[level_index(s->at, level)];

		if (pte_valid(*e) && !pte_leaf(*e, level)) {
			if (!change_table(s, arch_ptr(pte_addr(*e)), level - 1, next))
				return false;
		} else if (pte_valid(*e)) {
			change_leaf(s, e, level);
		}
		s->at = next;
		if (work_preempted(s->work, 1))
			return false;
	}
	s->at = end;
	return true;
}

/*
 * Change what translates [*start, end); large leaves that it touches change as a whole. False: preempted, and
 * *start is where to go on. In both cases the caller flushes the root: what was cleared may be filled
 * differently before the rest is.
 */
bool table_change(struct vspace *v, u64 *root, u64 *start, u64 end, enum table_change how, struct work *work)
{
	struct sweep s = { v, *start, how, work };
	int level = ARCH_LEVELS - 1;
	u64 *table = root;
	bool done;

	end = min_u64(end, ARCH_USER_TOP);
	if (s.at >= end)
		return true;
	/* Most ranges are small: down to the table that translates all of it. */
	for (; level && level_index(s.at, level) == level_index(end - 1, level); level--) {
		u64 *e = &table[level_index(s.at, level)];

		if (!pte_valid(*e))
			return true;
		if (pte_leaf(*e, level)) {
			change_leaf(&s, e, level);
			return true;
		}
		table = arch_ptr(pte_addr(*e));
	}
	if (!level) {
		change_pages(&s, table + level_index(s.at, 0), table + level_index(end - 1, 0));
		return true;
	}
	done = change_table(&s, table, level, end);
	*start = s.at;
	return done;
}

/* The same for a range that is bounded by itself, as a Frame's. */
void table_clear_range(struct vspace *v, u64 *root, u64 start, u64 end)
{
	struct work work = WORK_TO_THE_END;

	table_change(v, root, &start, end, TABLE_CLEAR, &work);
}

/* Is any Frame mapped in [start, end)? Costs a visit for each last-level table that lies in it. */
bool table_has_frames(struct vspace *v, u64 *table, int level, u64 start, u64 end)
{
	u64 span = level_span(level);

	for (u64 at = start; at < end;) {
		u64 next = min_u64(align_down(at, span) + span, end);
		u64 e = table[level_index(at, level)];

		if (!pte_valid(e))
			;
		else if (pte_leaf(e, level) ? !!(e & ARCH_PTE_FRAME)
		         : level == 1 && next - at == span
				 ? !!descriptor(v, arch_ptr(pte_addr(e)))->frames
				 : table_has_frames(v, arch_ptr(pte_addr(e)), level - 1, at, next))
			return true;
		at = next;
	}
	return false;
}

/*
 * Drop everything. The table pages go back to the pool as they are and are cleaned when they are used again, so
 * the cost does not depend on their number.
 */
void guestspace_reset(struct guestspace *g)
{
	struct vspace *v = g->vspace;

	event(EVENT_FLUSH_SPACE, (u64)g, 0);
	for (u32 w = 0; w < ARCH_ROOT_ENTRIES / 64; w++) {
		for (u64 bits = g->used[w]; bits; bits &= bits - 1)
			g->root[w * 64 + __builtin_ctzl(bits)] = 0;
		g->used[w] = 0;
	}
	if (g->tables) {
		v->tables[g->last_table - 1].next = v->free_list;
		v->free_list = g->tables;
		v->pool_free += g->table_count;
		g->tables = g->table_count = 0;
		list_remove(&g->link);
		list_add_tail(&v->spaces, &g->link);
	}
	g->epoch = v->epoch;
	arch_root_flush(g->root_reg);
}

/*
 * Give a last-level table of the VSpace's own tree, in which no Frame is mapped, back to the pool; entry names it. The
 * CPU may remember the table itself, so the root has to be flushed.
 */
static void drop_own(struct vspace *v, u32 n, u64 *entry)
{
	assert(pte_addr(*entry) == arch_pa(pool_page(v, n)) && !v->tables[n].frames);
	*entry = 0;
	filled_remove(v, n);
	free_page(v, n);
}

/*
 * Frames' leaves of a level are to be written in [start, end), where no Frame is mapped: what was filled from the
 * guest's table goes.
 */
void table_make_way(struct vspace *v, u64 start, u64 end, int level)
{
	u64 span = level_span(level);
	bool changed = false;

	for (u64 at = start; at < end;) {
		u64 next = min_u64(align_down(at, level_span(level + 1)) + level_span(level + 1), end);
		u64 *e = table_entry(v, NULL, v->root, at, level, false);

		for (; e && at < next; at += span, e++) {
			if (!pte_valid(*e))
				continue;
			if (pte_leaf(*e, level))
				*e = 0;
			else
				drop_own(v, page_number(v, arch_ptr(pte_addr(*e))), e);
			changed = true;
		}
		at = next;
	}
	if (changed)
		arch_root_flush(v->root_reg);
}

/* The oldest of them. False: there is none. */
static bool drop_oldest(struct vspace *v)
{
	u32 n = v->filled_first - 1;

	if (!v->filled_first)
		return false;
	drop_own(v, n, table_entry(v, NULL, v->root, (u64)v->tables[n].place << L4_LARGE_PAGE_BITS, 1, false));
	arch_root_flush(v->root_reg);
	return true;
}

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
	else if (!drop_oldest(v))
		return false;
	event(EVENT_EVICTION, (u64)keep, 0);
	return true;
}

/*
 * table_entry() has found no place for a leaf of vaddr in g's table, or, with g NULL, in the VSpace's own: make
 * one, and try again. False: a Frame is mapped there, or no memory can be had.
 */
bool table_make_place(struct vspace *v, struct guestspace *g, u64 vaddr)
{
	int level;
	u64 *larger = table_lookup(g ? g->root : v->root, vaddr, &level);

	if (!larger)
		return make_room(v, g);
	if (*larger & ARCH_PTE_FRAME)
		return false;
	*larger = 0;
	arch_root_flush(g ? g->root_reg : v->root_reg);
	return true;
}
