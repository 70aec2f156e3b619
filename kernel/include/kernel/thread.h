/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Threads, scheduling contexts and what threads wait on.
 *
 * A thread runs in one of two modes. Ordinarily its registers are saved in its own frame. A vCPU's thread in
 * guest user mode saves them in the guest's memory instead; frame_end, root and entry say which it is, and
 * are all that the entry code looks at.
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include <kernel/object.h>
#include <arch/context.h>

struct cpu;

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
	struct list link; /* ready queue or the queue of what it waits for */
	struct cnode *cnode;
	struct vspace *vspace;
	struct list in_vspace;
	struct l4_utcb *utcb; /* second page of the object */
	u64 utcb_vaddr;

	/* State of an IPC. */
	struct endpoint *endpoint;    /* of THREAD_SEND, THREAD_RECV */
	struct notification *waiting; /* of THREAD_WAIT */
	struct reply *reply;          /* RECV: where to keep a caller; REPLY: who holds us */
	bool send_call;
	u8 fault_label; /* sending or awaiting the answer to a fault */
	u64 fault_words[4];

	struct notification *bound;
	struct vcpu *vcpu;

	/* A system call that stopped early and is repeated: what it works on, only to be compared, and how far it is. */
	const struct slot *restart;
	u64 restart_at;

	/* Held slots: what it was configured with; SEND: the capability that it sends through, unless for a fault. */
	struct slot cnode_slot, vspace_slot, sched_slot, bound_slot, vcpu_slot;
	struct slot fault_slot;
	struct slot send_slot;

	struct arch_thread arch; /* register frame, FPU state */
};

/* What a timer is part of, and so what it does when its time has come: no function pointer (types.c tells why). */
enum timer_kind { TIMER_SCHED_CONTEXT, TIMER_VCPU, TIMER_IRQ_PAUSE };

struct timer {
	u64 when; /* counter value */
	struct list link;
	u8 kind;
};

struct sched_context {
	struct object obj;
	bool unlimited;        /* configured, and its budget is its period */
	struct thread *thread; /* that runs on it now */
	struct thread *owner;  /* that is configured with it */
	u64 budget, period;    /* counter ticks; budget 0: not configured */
	long remaining;        /* of the budget; below 0: overrun, paid from the next one */
	u64 deadline;          /* end of the period: the next budget if this one is used up */
	u64 used, waits;       /* in all, while limited: time, and runs that ended because the thread could not go on */
	u64 slice;             /* left of its turn among equals; 0: starts a new one when it runs */
	struct timer timer;    /* replenishment, while remaining is not above 0 */
	struct reply *replies; /* stack of calls that lent it; none: it is its thread's own */
};
_Static_assert(sizeof(struct sched_context) <= 1 << L4_SCHED_CONTEXT_BITS, "sched_context size");

struct endpoint {
	struct object obj;
	struct list queue; /* all senders or all receivers */
	bool receivers;
};
_Static_assert(sizeof(struct endpoint) <= 1 << L4_ENDPOINT_BITS, "endpoint size");

struct reply {
	struct object obj;
	struct thread *caller;    /* waits for the answer */
	struct thread *receiver;  /* in RECV with this object */
	struct sched_context *sc; /* donated by the call */
	struct reply *below;      /* next on the SchedContext's stack */
};
_Static_assert(sizeof(struct reply) <= 1 << L4_REPLY_BITS, "reply size");

struct notification {
	struct object obj;
	u64 word;
	struct list queue;
	struct thread *bound;
};
_Static_assert(sizeof(struct notification) <= 1 << L4_NOTIFICATION_BITS, "notification size");

/* Look up a capability of the calling thread: by index, type and rights. */
static inline error_t cap_lookup(struct thread *t, u64 index, struct slot **out)
{
	struct slot *s = t->cnode ? cnode_slot(t->cnode, index) : NULL;

	if (unlikely(!s || !s->type))
		return L4_ERR_CAP;
	*out = s;
	return L4_ERR_OK;
}

static inline error_t cap_lookup_type(struct thread *t, u64 index, u8 type, u8 rights, struct slot **out)
{
	error_t error = cap_lookup(t, index, out);

	if (unlikely(error))
		return error;
	if (unlikely((*out)->type != type))
		return L4_ERR_TYPE;
	if (unlikely(((*out)->rights & rights) != rights))
		return L4_ERR_RIGHTS;
	return L4_ERR_OK;
}

/*
 * The same for hot paths: NULL for whatever is wrong. t runs, so it has a CNode. Type and rights are neighbours in a
 * slot; an empty one has no type.
 */
static inline struct slot *cap_find(struct thread *t, u64 index, u8 type, u8 rights)
{
	struct cnode *c = t->cnode;
	struct slot *s = (struct slot *)c + (index & c->slots_mask); /* see cnode_slot */

	if (unlikely(index - 1 >= c->slots_mask) || unlikely(s->type != type) ||
	    unlikely((s->rights & rights) != rights))
		return NULL;
	return s;
}

static inline struct l4_frame *thread_frame(struct thread *t) { return &t->arch.frame; }

/* Every change of a thread's state; who calls this sees to queues. */
static inline void thread_set_state(struct thread *t, u8 state) { t->state = state; }

/* A receiver no longer waits: its Reply object, if it named one, is free. */
static inline void reply_unbind(struct thread *receiver)
{
	if (receiver->reply)
		receiver->reply->receiver = NULL;
	receiver->reply = NULL;
}

/* sched/ */
void sched_wake(struct thread *t);            /* becomes THREAD_RUN */
void sched_block(struct thread *t, u8 state); /* leaves THREAD_RUN */
void sched_requeue(struct thread *t);         /* after a change of priority or budget: behind its peers */
void sched_yield(void);
void schedule(void);
void sched_switch(struct thread *to);                                 /* run now; the caller has checked priorities */
bool sched_may_switch(struct thread *to);                             /* would schedule() choose it among all others? */
void sched_context_move(struct sched_context *sc, struct thread *to); /* to has none; NULL: nobody's */
void sched_context_bind(struct sched_context *sc, struct thread *to); /* and no caller gets it back */
void sched_context_return(struct reply *r, struct thread *caller);    /* the call that r kept is over */
error_t sched_context_configure(struct sched_context *sc, u64 budget_us, u64 period_us);

void sched_context_refill(struct timer *t);
void vcpu_timer_fired(struct timer *t);
void irq_pause_over(void);
void timer_set(struct timer *t, u64 when);
void timer_cancel(struct timer *t);
void timer_interrupt(void);
void timer_program(void);

/* ipc/ */
bool ipc_fast_call(struct cpu *cpu, struct thread *t, struct l4_frame *f);
bool ipc_fast_reply_recv(struct cpu *cpu, struct thread *t, struct l4_frame *f);
error_t ipc_send(struct thread *t, struct slot *cap, u64 tag, bool block, bool call);
error_t ipc_recv(struct thread *t, struct slot *cap, struct reply *reply, bool block);
error_t ipc_reply(struct thread *t, struct slot *reply_cap, u64 tag, struct thread **answered);
void ipc_run(struct thread *t); /* wake, and run at once if the scheduler would choose it */
void ipc_cancel(struct thread *t, error_t error);
void ipc_fault(struct thread *t, u64 label, u64 w0, u64 w1, u64 w2, u64 w3);
error_t notification_wait(struct thread *t, struct notification *n, bool block);
void notification_signal(struct notification *n, u64 bits);
error_t notification_signal_slot(struct thread *t, u64 slot); /* what t's capability there says */
void notification_deliver_bound(struct thread *t);            /* if t waits in RECV and its Notification has a word */

/* object/thread.c */
void thread_stop(struct thread *t);
void thread_join_vspace(struct thread *t, struct slot *cap, u64 utcb_vaddr);
void thread_set_own_mode(struct thread *t);

#endif
