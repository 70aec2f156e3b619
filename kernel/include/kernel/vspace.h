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

#include <kernel/thread.h>
#include <arch/pte.h>

/* Descriptor of a pool page. Entries outside [low, high] of the page are zero. */
struct table {
	u32 next;		/* index + 1 of the next on a list, 0: end */
	u16 low, high;
};

struct region {
	u64 gpa, size, pa;
	struct slot *slot;
};

struct vspace {
	struct object obj;
	u32 pool_pages, pool_free;
	u64 *root;
	u64 root_reg;		/* as the CPU takes it: see arch_root_init */
	struct table *tables;
	char *pool;
	u32 free_list;		/* as struct table.next */
	u32 fresh;		/* pool pages from here on were never used */
	u32 region_count;
	struct region region[L4_GUEST_REGIONS];
	struct list frames;	/* slots mapped or attached here */
	struct list threads;
	struct list spaces;	/* GuestSpaces; the least recently entered one first */
};

struct guestspace {
	struct object obj;
	u32 tables;		/* list of its table pages */
	u64 *root;
	u64 root_reg;
	struct vspace *vspace;
	struct slot vspace_slot;	/* held */
	struct list link;
	u64 guest_root;		/* gpa of the guest's table; NEVER: none */
	u64 used[ARCH_ROOT_ENTRIES / 64];	/* root entries in use */
};

struct vcpu {
	struct object obj;
	struct thread *thread;
	struct l4_vcpu_page *page;	/* second page of the object */
	u64 page_vaddr;
	struct guestspace *space;	/* while in guest user mode */
	struct timer timer;
};

/* mem/table.c: one page-table radix tree, of a VSpace (owner NULL) or a GuestSpace. */
u64 *table_entry(struct vspace *v, struct guestspace *owner, u64 *root, u64 vaddr, int level, bool make);
void table_note_use(struct vspace *v, const u64 *entry);
u64 *table_lookup(u64 *root, u64 vaddr, int *level);
void table_clear_range(u64 *root, u64 start, u64 end, bool keep_frames);
void table_protect_range(u64 *root, u64 start, u64 end);
bool table_make_way(struct vspace *v, u64 *entry);
bool table_make_room(struct vspace *v, struct guestspace *keep);

/* mem/vspace.c */
error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights);
void vspace_unmap_page(struct vspace *v, u64 vaddr);
void *vspace_guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa);

/* guest/ */
void guestspace_reset(struct guestspace *g);
void guestspace_flush(struct guestspace *g, u64 start, u64 end);
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
error_t vcpu_flush(struct thread *t, u64 start, u64 end);
error_t vcpu_bind(struct thread *t, struct vcpu *v, u64 vaddr);
void vcpu_unbind(struct vcpu *v);

#endif
