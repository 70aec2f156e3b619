/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * GuestSpace: a software TLB of one of the guest's page tables. L4 walks the guest's table on a miss (guest/walk.c),
 * fills its own table (guest/fill.c), and may drop what it filled at any time. object/guestspace.c is the only file
 * that changes the members here, but for what follows from its tables: their list and link (paging/pool.c), and used
 * (paging/table.c).
 */
#ifndef KERNEL_GUESTSPACE_H
#define KERNEL_GUESTSPACE_H

#include <kernel/vspace.h>
#include <arch/pte.h>

#define GUEST_PLACES 4 /* a power of two */

/*
 * Tables of the last level that translate the 2 MiB at an address: the guest's, as a walk has found it, and L4's own. A
 * guest's is forgotten when an address in the 2 MiB is flushed, as a CPU forgets what it has cached of tables; both are
 * when the space is reset, which is the only time at which a table is taken from it.
 */
struct guest_place {
	u64 at;              /* address >> L4_LARGE_PAGE_BITS; NEVER: none */
	u64 *guest, *shadow; /* NULL: not known */
};

struct guestspace {
	struct object obj;
	u16 tables, last_table; /* list of its table pages: first and last, as struct table.next */
	u32 table_count;
	u64 *root;
	u64 root_reg;
	struct vspace *vspace;
	struct slot vspace_slot; /* held */
	struct list link;
	u64 epoch;                              /* the VSpace's when it was last reset; no two VSpaces have the same */
	u64 guest_root;                         /* gpa of the guest's table; NEVER: none */
	struct guest_place place[GUEST_PLACES]; /* by address: see guestspace_place(); kept by guest/fill.c */
	u64 used[ARCH_ROOT_ENTRIES / 64];       /* root entries in use */
};

static inline struct guest_place *guestspace_place(struct guestspace *g, u64 vaddr)
{
	return &g->place[vaddr >> L4_LARGE_PAGE_BITS & (GUEST_PLACES - 1)];
}

void guestspace_lost(struct slot *held);
void guestspace_forget(struct guestspace *g); /* a capability to it has gone from its slot: see vcpu_forget() */

/* Drop everything that was filled. */
void guestspace_reset(struct guestspace *g);

/*
 * An operation of the flush queue (L4_FLUSH_*). False: preempted, and *start is where to go on. Until it is done nobody
 * may enter the space.
 */
bool guestspace_flush(struct guestspace *g, u32 op, u64 *start, u64 end, struct work *work);

/* It is entered now: the others are evicted before it. */
static inline void guestspace_touch(struct vspace *v, struct guestspace *g)
{
	if (v->holders.prev != &g->link && g->tables) {
		list_remove(&g->link);
		list_add_tail(&v->holders, &g->link);
	}
}

#endif
