/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VSpace: the unit of protection. Its page table, the pool that all tables of it and of its GuestSpaces come from, and
 * the ranges of guest-physical memory that its guest owns.
 *
 * In memory a VSpace is: header and table descriptors (struct table, one a pool page), root table, pool.
 */
#ifndef KERNEL_VSPACE_H
#define KERNEL_VSPACE_H

#include <kernel/object.h>
#include <kernel/paging.h>
#include <arch/pte.h>

#define VSPACE_VCPUS 64 /* most vCPUs of one VSpace, so that stopping all of them is bounded */

struct region {
	u64 gpa, size, pa;
	struct slot *slot;
};

struct vspace {
	struct object obj;
	bool guest, above; /* a guest kernel's, by GUEST; of mode above */
	bool alone;        /* its only thread has a vCPU: then that is the only user of all that is filled here */
	u32 pool_pages, pool_free;
	u64 *root;
	u64 root_reg; /* as the CPU takes it: see arch_root_init() */
	struct table *tables;
	char *pool;
	u16 free_list;                 /* as struct table.next */
	u16 filled_first, filled_last; /* list of own last-level tables without Frames, as struct table.next */
	u32 fresh;                     /* pool pages from here on were never used */
	u32 vcpu_count;
	u32 region_count;
	struct region region[L4_GUEST_REGIONS];
	struct list frames; /* slots mapped or attached here */
	struct list threads;
	struct list vcpus;
	struct list spaces;  /* GuestSpaces without tables */
	struct list holders; /* GuestSpaces with tables; the least recently entered one first */
	u64 epoch;           /* changes when guest memory goes: GuestSpaces of an older one are reset before use */
	u64 sweep_at;        /* how far the own tree has been cleared after a detach */
};

/* A thread or vCPU has joined or left. */
static inline void vspace_count_users(struct vspace *v)
{
	v->alone = v->vcpu_count == 1 && v->threads.next == v->threads.prev;
}

/*
 * paging/map.c. Which addresses a VSpace may map: those of user mode, and if it is a guest kernel's, the ranges of the
 * upper half that the CPU has for it. What is in the tables besides is L4's. The first two take addresses as the CPU
 * does, the third table addresses: it changes what is mapped in [*at, end), and goes on at *at when it was preempted.
 */
bool vspace_upper_range(const struct vspace *v, u64 vaddr, u64 size);
static inline bool vspace_has_range(const struct vspace *v, u64 vaddr, u64 size)
{
	if (likely(vaddr < ARCH_USER_TOP))
		return size <= ARCH_USER_TOP - vaddr;
	return ARCH_GUEST_RANGES && vspace_upper_range(v, vaddr, size);
}
bool vspace_change_ranges(struct vspace *v, u64 *at, u64 end, enum table_change how, struct work *work);
static inline bool vspace_change(struct vspace *v, u64 *at, u64 end, enum table_change how, struct work *work)
{
	return ARCH_GUEST_RANGES ? vspace_change_ranges(v, at, end, how, work)
	                         : table_change(v, v->root, at, min_u64(end, ARCH_USER_TOP), how, work);
}

static inline bool vspace_above(const struct vspace *v) { return ARCH_GUEST_RANGES && v->above; }

/* In mode above a guest kernel's leaves are not for user mode. */
static inline u64 vspace_leaf(const struct vspace *v, u64 at, u64 leaf)
{
	return vspace_above(v) && at >= ARCH_USER_TOP ? pte_supervisor(leaf) : leaf;
}

/* Frames and the kernel's own pages (UTCB, vCPU page) in a VSpace's tree, by table address. */
u32 vspace_allow_modes(u32 wanted); /* at boot: by the boot image. Returns the guest modes that VSpaces may have */
error_t vspace_map_range(struct vspace *v, u64 vaddr, u64 pa, u64 size, u32 rights, bool uncached);
error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights);
void vspace_unmap_page(struct vspace *v, u64 vaddr);

/* guest/memory.c: the ranges of memory that belong to the guest. */
u64 guest_memory_new_epoch(void); /* differs from all before, of any VSpace */
error_t guest_memory_add(struct vspace *v, u64 gpa, struct slot *frame);
void guest_memory_remove(struct vspace *v, const struct slot *frame);
void guest_memory_moved(struct vspace *v, const struct slot *from, struct slot *to); /* the Frame's capability */
/* The region that [gpa, gpa + size) is inside of, or NULL. */
const struct region *guest_region(const struct vspace *v, u64 gpa, u64 size);
/* Kernel address of guest-physical [gpa, gpa + size), and its physical one; NULL if it is not inside one region. */
void *guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa);

#endif
