/* SPDX-License-Identifier: GPL-2.0-only */
/* From a guest's page table to L4's own: misses, hints, and room in the pool for them. */
#ifndef KERNEL_FILL_H
#define KERNEL_FILL_H

#include <kernel/guestspace.h>

/*
 * guest/walk.c: the leaf of vaddr in the guest's table. Returns its place in kernel memory, its value and its level;
 * NULL if any step is not valid or not in the guest's memory.
 */
u64 *guest_walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value, int *level);
u32 guest_rights(u64 pte);

/*
 * guest/fill.c. A miss of GuestSpace g, or of the guest kernel's own table with g NULL. False: the guest has to handle
 * it; *present says whether it has a valid leaf there.
 */
bool guest_fill(struct vspace *v, struct guestspace *g, u64 guest_root, u64 vaddr, u32 access, u32 *present);
void guest_hint(struct guestspace *g, u64 vaddr, u64 pages); /* pages that the guest has just made valid */

/*
 * guest/evict.c. table_entry() has found no place for a leaf of vaddr in g's table, or, with g NULL, in the VSpace's
 * own: make one, and try again. False: a Frame is mapped there, or no memory can be had.
 */
bool evict_for(struct vspace *v, struct guestspace *g, u64 vaddr);

#endif
