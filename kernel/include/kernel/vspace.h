/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address spaces. A VSpace is the unit of protection: its page table, the pool that all tables of it and of
 * its GuestSpaces come from, and the ranges of guest-physical memory that its guest owns.
 *
 * In memory a VSpace is: header and table descriptors (struct table, one a pool page), root table, pool. A
 * table entry set by MAP has ARCH_PTE_FRAME; one filled from a guest's table has not, and may vanish any time.
 */
#ifndef KERNEL_VSPACE_H
#define KERNEL_VSPACE_H

#include <kernel/preempt.h>
#include <kernel/thread.h>
#include <arch/pte.h>

/* Descriptor of a pool page. Entries outside [low, high] of the page are zero. */
struct table {
	u16 next, prev; /* index + 1 on a list, 0: end; only `filled` uses prev */
	u16 low, high;
	u16 frames; /* entries that MAP made */
	u16 reserved;
	u32 place; /* of a last-level table of the VSpace's own tree: vaddr >> L4_LARGE_PAGE_BITS */
};

#define VSPACE_VCPUS 64 /* most vCPUs of one VSpace, so that stopping all of them is bounded */

struct region {
	u64 gpa, size, pa;
	struct slot *slot;
};

struct vspace {
	struct object obj;
	u32 pool_pages, pool_free;
	u64 *root;
	u64 root_reg; /* as the CPU takes it: see arch_root_init */
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

struct guestspace {
	struct object obj;
	u16 tables, last_table; /* list of its table pages: first and last, as struct table.next */
	u32 table_count;
	u64 *root;
	u64 root_reg;
	struct vspace *vspace;
	struct slot vspace_slot; /* held */
	struct list link;
	u64 epoch;                        /* the VSpace's when it was last reset; no two VSpaces have the same */
	u64 guest_root;                   /* gpa of the guest's table; NEVER: none */
	u64 used[ARCH_ROOT_ENTRIES / 64]; /* root entries in use */
};

struct vcpu {
	struct object obj;
	struct thread *thread;
	struct l4_vcpu_page *page; /* second page of the object */
	u64 page_vaddr;
	struct guestspace *space; /* while in guest user mode */
	struct list link;         /* VSpace's vCPUs, while bound */
	u64 fault_ip;             /* of the last upcall for a fault, and how many came from there in a row */
	u32 fault_count;
	struct timer timer;
};

/* mem/table.c: one page-table radix tree, of a VSpace (owner NULL) or a GuestSpace. */
enum table_change { TABLE_CLEAR, TABLE_CLEAR_FILLED, TABLE_PROTECT };

u64 *table_entry(struct vspace *v, struct guestspace *owner, u64 *root, u64 vaddr, int level, bool make);
void table_note_use(struct vspace *v, const u64 *entry);
u64 *table_lookup(u64 *root, u64 vaddr, int *level);
void table_set_frame(struct vspace *v, u64 *entry, u64 leaf, int level);
bool table_change(struct vspace *v, u64 *root, u64 *start, u64 end, enum table_change how, struct work *work);
void table_clear_range(struct vspace *v, u64 *root, u64 start, u64 end);
bool table_has_frames(struct vspace *v, u64 *table, int level, u64 start, u64 end);
void table_make_way(struct vspace *v, u64 start, u64 end, int level);
bool table_make_place(struct vspace *v, struct guestspace *g, u64 vaddr);
void guestspace_reset(struct guestspace *g);

/* mem/vspace.c */
error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights);
void vspace_unmap_page(struct vspace *v, u64 vaddr);
void *vspace_guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa);

/* guest/ */
bool guestspace_flush(struct guestspace *g, u32 op, u64 *start, u64 end, struct work *work);
void guestspace_hint(struct guestspace *g, u64 vaddr, u64 pages);
bool guest_fill(struct vspace *v, struct guestspace *g, u64 guest_root, u64 vaddr, u32 access, u32 *present);

void vcpu_event(struct thread *t, u64 bits);
void vcpu_exit_work(struct thread *t);
struct l4_vcpu_page *vcpu_syscall(struct thread *t);
void vcpu_leave_user(struct thread *t, u32 reason, u32 code);
void vcpu_page_fault(struct thread *t, u64 addr, u32 access);
void vcpu_exception(struct thread *t, u32 vector, u64 error, u64 addr);
error_t vcpu_enter(struct thread *t, u64 space);
error_t vcpu_resume(struct thread *t);
error_t vcpu_wait(struct thread *t);
error_t vcpu_timer(struct thread *t, u64 when);
error_t vcpu_flush(struct thread *t);
error_t vcpu_bind(struct thread *t, struct vcpu *v, u64 vaddr);
void vcpu_unbind(struct vcpu *v);

#endif
