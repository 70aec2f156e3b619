/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Vcpu: guest mode of a thread. docs/guest-interface.md has the protocol. The vCPU page is the second page of the
 * object; the guest may write anything into it at any time, so every field is read once and checked.
 */
#ifndef KERNEL_VCPU_H
#define KERNEL_VCPU_H

#include <kernel/thread.h>
#include <kernel/timer.h>

struct guestspace;

/* Addresses of a guest kernel of mode above, by VCPU_ENTRIES; 0: not set. The last three: see vcpu_exit_work(). */
enum { VCPU_SYSCALL, VCPU_FAULT, VCPU_EXIT_START, VCPU_EXIT_END, VCPU_EXIT_EVENTS, VCPU_ENTRIES };

/* A GuestSpace and a frame that VCPU_ENTER found, by the words that named them. */
struct vcpu_entered {
	u64 slot;
	struct guestspace *space; /* NULL: nothing is known */
	u64 frame_gpa;
	struct l4_frame *frame_end;
};

/*
 * What VCPU_ENTER found, so that the next one needs no look-up: the last GuestSpace, fit for use, and frame; those of the
 * slot before it; and the region in which the last frame was. Mode beside only. vcpu_forget() where a look-up could find
 * something else.
 */
struct vcpu_found {
	struct vcpu_entered last, other;
	u64 gpa;    /* start of the region */
	u64 places; /* where a frame may begin, in bytes from there; 0: nothing is known */
	char *start;
};

struct vcpu {
	struct object obj;
	struct thread *thread;
	struct l4_vcpu_page *page; /* second page of the object */
	u64 page_vaddr;
	struct guestspace *space; /* while in guest user mode; mode above: that is loaded, in either mode */
	struct vcpu_found found;
	u64 entry[VCPU_ENTRIES];
	struct list link; /* VSpace's vCPUs, while bound */
	u64 fault_ip;     /* of the last upcall for a fault, and how many came from there in a row */
	u32 fault_count;
	u64 ready_since; /* several CPUs: its thread can run since then, and does not; 0: it runs or cannot */
	u32 *preempted;  /* 1 while ready_since is set, else 0: in memory of the guest (VCPU_PREEMPTED), or the next */
	u32 preempted_unread;
	struct timer timer;
};
_Static_assert(sizeof(struct vcpu) <= L4_PAGE_SIZE, "vcpu size");

/* object/vcpu.c */
error_t vcpu_bind(struct thread *t, struct vcpu *v, u64 vaddr);
void vcpu_unbind(struct vcpu *v);

/*
 * What VCPU_ENTER found is true no longer. A thread's CNode and VSpace cannot change before its vCPU is unbound, and a
 * right cannot go from a slot; so that leaves the vCPU, and what vspace_forget() is called for.
 */
static inline void vcpu_forget(struct vcpu *v)
{
	v->found.places = 0;
	v->found.last.space = v->found.other.space = NULL;
	/* For a wrong guess: see enter_found(). */
	v->found.last.frame_end = v->found.other.frame_end = (struct l4_frame *)v->page + 1;
	v->found.start = (char *)v->page;
}

/* The same of all vCPUs of a VSpace: a region of it goes, or a GuestSpace, or a capability to a GuestSpace. */
void vspace_forget(struct vspace *v);

/* Nobody in the guest wants to know whether it is preempted, or the region with the word goes. */
static inline void vcpu_tell_nobody(struct vcpu *v) { v->preempted = &v->preempted_unread; }

/* guest/fault.c: the current thread is about to run; or it cannot go on. They return a way out (mode.h). */
struct l4_vcpu_page *vcpu_exit_work(struct thread *t);
struct l4_vcpu_page *vcpu_page_fault(struct thread *t, u64 addr, u32 access,
                                     bool mapped); /* mapped: a right is missing */
struct l4_vcpu_page *vcpu_exception(struct thread *t, u32 vector, u64 error, u64 addr);

static inline void vcpu_note_fault(struct l4_vcpu_page *p, u64 addr, u32 access, u32 present)
{
	p->fault_addr = addr;
	p->fault_access = access;
	p->fault_present = present;
}

/* guest/event.c */
void vcpu_event(struct thread *t, u64 bits);
void vcpu_timer_fired(struct timer *t);

/*
 * guest/calls.c: system calls of a guest kernel. Without vcpu_has_work(): an enter of what the last one found, or with the
 * frame of another task, or of the space before the last; false: not done. Then one that looks everything up; and any
 * enter, with work or without. These return a way out (mode.h).
 */
static inline bool vcpu_has_work(const struct vcpu *v)
{
	const struct l4_vcpu_page *p = v->page;

	return READ_ONCE(p->flush_count) | READ_ONCE(p->hint_count) | READ_ONCE(p->pending);
}

bool vcpu_enter_again(struct thread *t, u64 slot);
bool vcpu_enter_again_many(struct thread *t, u64 slot);
bool vcpu_enter_other(struct thread *t, u64 slot);
struct l4_vcpu_page *vcpu_enter_unknown(struct thread *t, u64 slot);
struct l4_vcpu_page *vcpu_enter(struct thread *t, u64 slot);
error_t vcpu_resume(struct thread *t);
error_t vcpu_wait(struct thread *t);
error_t vcpu_timer(struct thread *t, u64 when);
error_t vcpu_flush(struct thread *t);
error_t vcpu_entries(struct thread *t);
error_t vcpu_preempted(struct thread *t, u64 gpa);

#endif
