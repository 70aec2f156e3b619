/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page tables: geometry that all of them share (512 entries a table, level 0 holds pages), and the trees of VSpaces and
 * GuestSpaces. A table entry set by MAP has ARCH_PTE_FRAME; one filled from a guest's table has not, and may vanish any
 * time.
 */
#ifndef KERNEL_PAGING_H
#define KERNEL_PAGING_H

#include <kernel/arch.h>
#include <kernel/hold.h>
#include <kernel/lock.h>

struct vspace;
struct guestspace;
struct work;

#define TABLE_BITS    9
#define TABLE_ENTRIES (1 << TABLE_BITS)

static inline u32 level_shift(int level) { return L4_PAGE_BITS + TABLE_BITS * level; }
static inline u64 level_span(int level) { return BIT(level_shift(level)); }
static inline u64 level_index(u64 addr, int level) { return addr >> level_shift(level) & (TABLE_ENTRIES - 1); }
/* Start of the leaf of a level that covers addr, and the part of addr below it. */
static inline u64 level_base(u64 addr, int level) { return align_down(addr, level_span(level)); }
static inline u64 level_offset(u64 addr, int level) { return addr & (level_span(level) - 1); }
/* The address after the leaf that covers addr, but not beyond end. */
static inline u64 level_next(u64 addr, int level, u64 end)
{
	return min_u64(level_base(addr, level) + level_span(level), end);
}

static inline void root_flush_others(u64 root)
{
	if (!cpus_many() || !this_cpu()->alone)
		return;
	hold(HOLD_FLUSHES_OTHERS);
	arch_root_flush_others(root);
}

/*
 * Of all CPUs, which have stopped; or, if they have not, of this one: then no other uses the root, as only a vCPU that is
 * alone in its VSpace changes tables without that.
 */
static inline void root_flush(u64 root)
{
	arch_root_flush(root);
	root_flush_others(root);
}

static inline void root_filled(u64 root)
{
	arch_filled(root);
	root_flush_others(root);
}

/* Descriptor of a pool page. Entries outside [low, high] of the page are zero. */
struct table {
	u16 next, prev; /* index + 1 on a list, 0: end; only `filled` uses prev */
	u16 low, high;
	u16 frames; /* entries that MAP made */
	u16 reserved;
	u32 place; /* of a last-level table of the VSpace's own tree: vaddr >> L4_LARGE_PAGE_BITS */
};

/* paging/pool.c: table pages. */
u64 *pool_take(struct vspace *v, struct guestspace *owner, u64 vaddr, int level);
void pool_give_back(struct vspace *v, struct guestspace *g);       /* all of a GuestSpace's, as they are */
struct table *pool_descriptor(struct vspace *v, const u64 *entry); /* of the page that holds an entry */
void pool_note_use(struct vspace *v, const u64 *entry);            /* the entry may be in use from now on */
void pool_frame_set(struct vspace *v, const u64 *entry, int level);
void pool_frame_cleared(struct vspace *v, const u64 *entry, int level);
void pool_drop_own(struct vspace *v, u64 *entry);

/* paging/table.c: one radix tree, of a VSpace (owner NULL) or a GuestSpace. */
enum table_change { TABLE_CLEAR, TABLE_CLEAR_FILLED, TABLE_PROTECT };

u64 *table_entry(struct vspace *v, struct guestspace *owner, u64 *root, u64 vaddr, int level, bool make);
u64 *table_lookup(u64 *root, u64 vaddr, int *level);
void table_set_frame(struct vspace *v, u64 *entry, u64 leaf, int level);
bool table_change(struct vspace *v, u64 *root, u64 *start, u64 end, enum table_change how, struct work *work);
void table_change_pages(struct vspace *v, u64 *first, const u64 *last,
                        enum table_change how); /* of a last-level table */
void table_clear_range(struct vspace *v, u64 *root, u64 start, u64 end);
bool table_has_frames(struct vspace *v, u64 *table, int level, u64 start, u64 end);
void table_make_way(struct vspace *v, u64 start, u64 end, int level);
bool table_drop_oldest(struct vspace *v);
void table_clear_leaf(u64 *entry, u64 root_reg);

#endif
