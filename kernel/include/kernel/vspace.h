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

#define VSPACE_VCPUS 64 /* most vCPUs of one VSpace, so that stopping all of them is bounded */

struct region {
	u64 gpa, size, pa;
	struct slot *slot;
};

struct vspace {
	struct object obj;
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

/* paging/map.c: Frames and the kernel's own pages (UTCB, vCPU page) in a VSpace's tree. */
error_t vspace_map_range(struct vspace *v, u64 vaddr, u64 pa, u64 size, u32 rights, bool uncached);
error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights);
void vspace_unmap_page(struct vspace *v, u64 vaddr);

/* guest/memory.c: the ranges of memory that belong to the guest. */
u64 guest_memory_new_epoch(void); /* differs from all before, of any VSpace */
error_t guest_memory_add(struct vspace *v, u64 gpa, struct slot *frame);
void guest_memory_remove(struct vspace *v, const struct slot *frame);
void guest_memory_moved(struct vspace *v, const struct slot *from, struct slot *to); /* the Frame's capability */
/* Kernel address of guest-physical [gpa, gpa + size), and its physical one; NULL if it is not inside one region. */
void *guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa);

#endif
