/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Thread: registers, address space, capabilities, CPU time.
 *
 * A thread runs in one of two modes. Ordinarily its registers are saved in its own frame. A vCPU's thread in guest user
 * mode saves them in the guest's memory instead; frame_end, root and entry say which it is, and are all that the entry
 * code looks at. guest/mode.c is the only place that changes them.
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include <kernel/object.h>
#include <arch/context.h>

enum thread_state {
	THREAD_STOPPED,
	THREAD_RUN,       /* running, or ready as soon as its SchedContext has budget */
	THREAD_SEND,      /* on an Endpoint's queue, to send, call or report a fault */
	THREAD_RECV,      /* on an Endpoint's queue, to receive */
	THREAD_REPLY,     /* called; waits for the answer */
	THREAD_WAIT,      /* on a Notification's queue */
	THREAD_VCPU_WAIT, /* idle vCPU */
};

struct thread {
	struct object obj;
	u8 state;
	bool queued;    /* on a ready queue */
	bool exit_work; /* look at the vCPU before returning to user mode */
	bool in_guest_user;
	int priority, max_priority;

	/* How to run it: end of the register frame in use, page table root, entry for system calls. */
	u64 frame_end;
	u64 root;
	u64 entry;

	struct sched_context *sc;
	struct cpu *direct; /* that of sc, if it is in its own mode, with unlimited time; else NULL: see sched.h */
	struct cpu *cpu;    /* that it runs on, is queued for, or was last */
	struct cpu *ran;    /* that it ran on last, in the VSpace and with the vCPU that it has; NULL: on none */
	struct list link;   /* ready queue (queued), or the queue of what it waits for (SEND, RECV, WAIT); else old */
	struct cnode *cnode;
	struct vspace *vspace;
	struct list in_vspace;
	struct l4_utcb *utcb; /* second page of the object */
	u64 utcb_vaddr;

	/* State of an IPC. */
	struct notification *waiting; /* of THREAD_WAIT */
	struct reply *reply; /* RECV: where to keep a caller; REPLY: the one that keeps this thread; else old */
	bool send_call;
	u8 fault_label; /* sending or awaiting the answer to a fault */
	u64 fault_words[4];

	struct notification *bound;
	struct vcpu *vcpu;

	/*
	 * A system call that stopped early and is repeated: what it works on, only to be compared, and where it began and
	 * how far it is.
	 */
	const struct slot *restart;
	const struct cnode *restart_in;
	u64 restart_from, restart_at;

	/* Held slots: what it was configured with; SEND: the capability that it sends through, unless for a fault. */
	struct slot cnode_slot, vspace_slot, sched_slot, bound_slot, vcpu_slot;
	struct slot fault_slot;
	struct slot send_slot;

	struct arch_thread arch; /* register frame, FPU state */
};
_Static_assert(sizeof(struct thread) <= L4_PAGE_SIZE, "thread size");

static inline struct l4_frame *thread_frame(struct thread *t) { return &t->arch.frame; }

/* Every change of a thread's state; the caller keeps the queues right. */
static inline void thread_set_state(struct thread *t, u8 state) { t->state = state; }

/* The UTCB must be mapped at utcb_vaddr already. */
void thread_join_vspace(struct thread *t, struct slot *cap, u64 utcb_vaddr);
void thread_lost(struct slot *held, enum slot_use use, u64 object);

#endif
