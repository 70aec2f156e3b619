// SPDX-License-Identifier: GPL-2.0-only
/* Notification: signals, waiters, and the thread that it is bound to. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/notification.h>
#include <kernel/reply.h>
#include <kernel/sched.h>
#include <kernel/vcpu.h>

void notification_init(struct object *o) { list_init(&((struct notification *)o)->queue); }

/* Nothing is bound to it: a binding holds a capability. */
bool notification_destroy(struct object *o)
{
	struct notification *n = (struct notification *)o;

	assert(!n->bound);
	if (!list_empty(&n->queue)) {
		struct thread *t = container_of(n->queue.next, struct thread, link);

		list_unlink(&t->link);
		t->waiting = NULL;
		l4_frame_set_error(thread_frame(t), L4_ERR_CANCELLED);
		sched_wake(t);
	}
	return list_empty(&n->queue);
}

static void deliver(struct thread *t, struct notification *n)
{
	l4_frame_set_badge(thread_frame(t), n->word);
	n->word = 0;
	list_unlink(&t->link);
	l4_frame_set_tag(thread_frame(t), 0);
	l4_frame_set_error(thread_frame(t), L4_ERR_OK);
	sched_wake(t);
}

/* A receiver without a SchedContext is woken only by a caller, which lends it one; the word stays until then. */
void notification_deliver_bound(struct thread *t)
{
	if (!t->bound || !t->bound->word || t->vcpu || t->state != THREAD_RECV || !t->sc)
		return;
	reply_unbind(t);
	deliver(t, t->bound);
}

void notification_signal(struct notification *n, u64 bits)
{
	struct thread *t = n->bound;

	event(EVENT_SIGNAL, (u64)n, bits);
	if (t && t->vcpu) {
		vcpu_event(t, bits);
		return;
	}
	n->word |= bits;
	if (t && t->state == THREAD_RECV) {
		notification_deliver_bound(t);
	} else if (!list_empty(&n->queue)) {
		t = container_of(n->queue.next, struct thread, link);
		t->waiting = NULL;
		deliver(t, n);
	}
}

void notification_signal_cap(const struct slot *cap)
{
	notification_signal(SLOT_OBJECT(cap, notification), cap->badge ? cap->badge : 1);
}

error_t notification_signal_slot(struct thread *t, u64 slot)
{
	struct slot *cap;
	error_t error = cap_lookup_type(t, slot, L4_TYPE_NOTIFICATION, L4_RIGHT_WRITE, &cap);

	if (unlikely(error))
		return error;
	notification_signal_cap(cap);
	return L4_ERR_OK;
}

error_t notification_wait(struct thread *t, struct notification *n, bool block)
{
	if (n->word) {
		l4_frame_set_badge(thread_frame(t), n->word);
		n->word = 0;
		return L4_ERR_OK;
	}
	if (n->bound && n->bound != t)
		return L4_ERR_BUSY;
	if (!block)
		return L4_ERR_AGAIN;
	t->waiting = n;
	sched_block(t, THREAD_WAIT);
	list_add_tail(&n->queue, &t->link);
	return L4_ERR_OK;
}
