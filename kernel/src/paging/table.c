// SPDX-License-Identifier: GPL-2.0-only
/* Page-table trees: look-up, and changes of ranges in preemptible steps. pool.c has the pages. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/guestspace.h>
#include <kernel/paging.h>
#include <kernel/preempt.h>

/*
 * Entry for vaddr at a level, with tables made on the way if `make`. NULL: no table there, no memory, or a
 * larger leaf in the way.
 */
u64 *table_entry(struct vspace *v, struct guestspace *owner, u64 *root, u64 vaddr, int level, bool make)
{
	u64 *table = root;

	for (int l = ARCH_LEVELS - 1;; l--) {
		u64 *e = &table[level_index(vaddr, l)];

		if (l == level) {
			if (make)
				pool_note_use(v, e);
			return e;
		}
		if (!pte_valid(*e)) {
			if (!make)
				return NULL;
			if (table != root)
				pool_note_use(v, e);
			table = pool_take(v, owner, vaddr, l - 1);
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
	return NULL; /* never: a valid entry of level 0 is a leaf */
}

/* Write a leaf of MAP's into an entry that is not valid. */
void table_set_frame(struct vspace *v, u64 *entry, u64 leaf, int level)
{
	assert(!pte_valid(*entry));
	*entry = leaf | ARCH_PTE_FRAME;
	pool_frame_set(v, entry, level);
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
		*e = 0;
		pool_frame_cleared(s->v, e, level);
	}
}

/* Of a last-level table: entries first to last. */
static inline void change_pages(struct sweep *s, u64 *first, const u64 *last)
{
	for (u64 *e = first; e <= last; e++)
		if (pte_valid(*e))
			change_leaf(s, e, 0);
}

void table_change_pages(struct vspace *v, u64 *first, const u64 *last, enum table_change how)
{
	struct sweep s = { .v = v, .how = how };

	change_pages(&s, first, last);
}

/* [s->at, end) is translated by this table. False: preempted. */
static bool change_table(struct sweep *s, u64 *table, int level, u64 end)
{
	u64 span = level_span(level), stop = end;

	if (level < ARCH_LEVELS - 1) {
		const struct table *d = pool_descriptor(s->v, table);
		u64 base = level_base(s->at, level + 1);

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
		u64 next = level_next(s->at, level, end);
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

/* Clear a range in one go: its caller bounds it, as a Frame's. */
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
		u64 next = level_next(at, level, end);
		u64 e = table[level_index(at, level)];

		if (!pte_valid(e))
			;
		else if (pte_leaf(e, level) ? !!(e & ARCH_PTE_FRAME)
		         : level == 1 && next - at == span
				 ? !!pool_descriptor(v, arch_ptr(pte_addr(e)))->frames
				 : table_has_frames(v, arch_ptr(pte_addr(e)), level - 1, at, next))
			return true;
		at = next;
	}
	return false;
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
		u64 next = level_next(at, level + 1, end);
		u64 *e = table_entry(v, NULL, v->root, at, level, false);

		for (; e && at < next; at += span, e++) {
			if (!pte_valid(*e))
				continue;
			if (pte_leaf(*e, level))
				*e = 0;
			else
				pool_drop_own(v, e);
			changed = true;
		}
		at = next;
	}
	if (changed)
		root_flush(v->root_reg);
}

/*
 * Clear a valid leaf: the CPU must not see one valid translation turn into another (Arm ARM, D8.14: break before
 * make).
 */
void table_clear_leaf(u64 *entry, u64 root_reg)
{
	*entry = 0;
	root_flush(root_reg);
}

/* Free the oldest table of the own tree that can be filled again. False: there is none. */
bool table_drop_oldest(struct vspace *v)
{
	u32 n = v->filled_first - 1;

	if (!v->filled_first)
		return false;
	pool_drop_own(v, table_entry(v, NULL, v->root, (u64)v->tables[n].place << L4_LARGE_PAGE_BITS, 1, false));
	root_flush(v->root_reg);
	return true;
}
