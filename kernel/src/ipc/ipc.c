// SPDX-License-Identifier: GPL-2.0-only
/*
 * Synchronous IPC: send, receive, answer. See ipc.h.
 *
 * A call leaves the caller in the Reply object that the receiver named; a receiver without a SchedContext runs on the
 * caller's until it answers.
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/ipc.h>
#include <kernel/lock.h>
#include <kernel/notification.h>
#include <kernel/preempt.h>
#include <kernel/sched.h>

#define CANCEL_STEP 16 /* cancelled senders, of some 200 instructions each, between two looks for an interrupt */

/* The rest of ipc/fast.c for a thread that runs from now on, if the FPU's registers are to be switched. */
void ipc_fast_fpu(void)
{
	arch_fast_fpu(this_cpu()->current);
	if (cpus_many() && lock_release())
		lock_pass();
}

/* The caller waits in the receiver's Reply object; it lends its time to a passive receiver. */
static void link_call(struct thread *caller, struct thread *receiver, struct reply *r)
{
	r->receiver = NULL;
	reply_keep(r, caller);
	sched_block(caller, THREAD_REPLY);
	sched_context_lend(r, caller, receiver);
}

/*
 * Send t's message to a waiting receiver, or queue t (block) until there is one. A call also leaves t in the receiver's
 * Reply object. A thread with fault_label set sends its fault instead of its registers.
 */
error_t ipc_send(struct thread *t, struct slot *cap, u64 tag, bool block, bool call)
{
	struct endpoint *ep = SLOT_OBJECT(cap, endpoint);
	bool grant = cap->rights & L4_RIGHT_GRANT;
	error_t error;

	if (unlikely(!(cap->rights & L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (!t->fault_label) {
		error = ipc_check_message(t, tag, grant);
		if (unlikely(error))
			return error;
	}
	event(EVENT_IPC, (u64)ep, tag);
	if (likely(ep->receivers && !list_empty(&ep->queue))) {
		struct thread *r = container_of(ep->queue.next, struct thread, link);
		struct reply *reply = r->reply;

		/* Nowhere to keep the caller, or no time to run on: a message would keep it from those who lend it. */
		if (unlikely(call ? !reply : !r->sc))
			return L4_ERR_UNBOUND;
		list_unlink(&r->link);
		ipc_transfer(t, r, cap->badge, grant);
		reply_unbind(r);
		if (call)
			link_call(t, r, reply);
		sched_run(r);
		return L4_ERR_OK;
	}
	if (!block)
		return L4_ERR_AGAIN;
	t->send_call = call;
	if (!t->fault_label)
		slot_hold(&t->send_slot, cap, HELD_SEND);
	sched_block(t, THREAD_SEND);
	ep->receivers = false;
	list_add_tail(&ep->queue, &t->link);
	return L4_ERR_OK;
}

/* The first that waits to send; NULL: nobody does. */
static inline struct thread *first_sender(const struct endpoint *ep)
{
	return ep->receivers || list_empty(&ep->queue) ? NULL : container_of(ep->queue.next, struct thread, link);
}

static inline bool has_signal(const struct thread *t) { return t->bound && t->bound->word && !t->vcpu; }

/* Can a receiver take s's message? A call needs a Reply object and time of either of them, a send time of the receiver. */
static inline bool can_take(const struct thread *s, const struct reply *reply, bool has_time)
{
	return s->send_call ? reply && (has_time || s->sc) : has_time;
}

/*
 * Before t answers and receives: cancel the first senders whose message it cannot take afterwards, as ipc_send() refuses
 * them. False: there may be more of them, and the system call is to be repeated. t still has the time that it runs on.
 * reply may be NULL.
 */
bool ipc_cancel_undeliverable(const struct thread *t, struct endpoint *ep, const struct reply *reply)
{
	bool has_time = t->sc && !(reply && t->sc == reply->sc);
	struct thread *s;

	if (has_signal(t) && has_time)
		return true;
	for (u32 k = 1; (s = first_sender(ep)) && !can_take(s, reply, has_time); k++) {
		ipc_cancel(s, L4_ERR_UNBOUND);
		if (k % CANCEL_STEP == 0 && must_stop())
			return false;
	}
	return true;
}

/*
 * Receive, after ipc_cancel_undeliverable(): the word of t's bound Notification, or a message of the first sender, or
 * queue t (block). reply keeps the caller if the message is a call; it keeps none before, and nobody receives by it.
 */
error_t ipc_recv(struct thread *t, struct slot *cap, struct reply *reply, bool block)
{
	struct endpoint *ep = SLOT_OBJECT(cap, endpoint);
	struct thread *s;

	if (unlikely(has_signal(t) && t->sc)) {
		l4_frame_set_badge(thread_frame(t), t->bound->word);
		l4_frame_set_tag(thread_frame(t), 0);
		t->bound->word = 0;
		return L4_ERR_OK;
	}
	s = first_sender(ep);
	if (s) {
		const struct slot *from = s->fault_label ? &s->fault_slot : &s->send_slot;

		assert(can_take(s, reply, t->sc));
		list_unlink(&s->link);
		assert(from->type == L4_TYPE_ENDPOINT && SLOT_OBJECT(from, endpoint) == ep);
		ipc_transfer(s, t, from->badge, from->rights & L4_RIGHT_GRANT);
		slot_drop(&s->send_slot);
		if (s->send_call) {
			link_call(s, t, reply);
		} else {
			l4_frame_set_error(thread_frame(s), L4_ERR_OK);
			sched_wake(s);
		}
		return L4_ERR_OK;
	}
	if (!block)
		return L4_ERR_AGAIN;
	t->reply = reply;
	if (reply)
		reply->receiver = t;
	sched_block(t, THREAD_RECV);
	ep->receivers = true;
	list_add_tail(&ep->queue, &t->link);
	return L4_ERR_OK;
}

/* May t answer the caller that a Reply object keeps with this message? */
error_t ipc_check_reply(struct thread *t, const struct slot *cap, u64 tag)
{
	if (unlikely(!(cap->rights & L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (unlikely(!SLOT_OBJECT(cap, reply)->caller))
		return L4_ERR_UNBOUND;
	return ipc_check_message(t, tag, cap->rights & L4_RIGHT_GRANT);
}

/* Answer it, after ipc_check_reply(). Returns the caller if it can go on; who calls this runs it. */
struct thread *ipc_reply(struct thread *t, struct slot *cap, u64 tag)
{
	struct reply *r = SLOT_OBJECT(cap, reply);
	struct thread *caller = r->caller;

	reply_release(r);
	sched_context_return(r, caller);
	if (unlikely(caller->fault_label)) {
		caller->fault_label = 0;
		if (tag >> L4_TAG_LABEL_SHIFT) {
			sched_block(caller, THREAD_STOPPED);
			return NULL;
		}
	} else {
		ipc_transfer(t, caller, 0, cap->rights & L4_RIGHT_GRANT);
	}
	return caller;
}
