/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Reply: keeps the caller of a call until it is answered. Life: free -> named by a receiver (receiver is set) -> keeps
 * a caller (caller is set; sc if the caller lent its time) -> free. Never both: thread.reply points back in either
 * case, and means nothing in any other state of the thread.
 */
#ifndef KERNEL_REPLY_H
#define KERNEL_REPLY_H

#include <kernel/thread.h>

struct reply {
	struct object obj;
	struct thread *caller;    /* waits for the answer */
	struct thread *receiver;  /* in RECV with this object */
	struct sched_context *sc; /* lent by the call */
	struct reply *below;      /* next on the SchedContext's stack */
};
_Static_assert(sizeof(struct reply) <= 1 << L4_REPLY_BITS, "reply size");

/* A receiver no longer waits: its Reply object, if it named one, is free. */
static inline void reply_unbind(struct thread *receiver)
{
	if (receiver->reply)
		receiver->reply->receiver = NULL;
}

/* The caller waits for the answer in r. */
static inline void reply_keep(struct reply *r, struct thread *caller)
{
	r->caller = caller;
	caller->reply = r;
}

/* The caller waits no longer; its time, if it was lent, is still to be returned. */
static inline void reply_release(struct reply *r) { r->caller = NULL; }

#endif
