// SPDX-License-Identifier: GPL-2.0-only
/*
 * Endpoint: synchronous IPC. A sender and a receiver meet, the message is copied once from the sender's
 * registers and UTCB to the receiver's. Faults are calls that the kernel makes in a thread's name.
 *
 * A call leaves the caller in the Reply object that the receiver named; a receiver without a SchedContext
 * runs on the caller's until it answers.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>

#define TAG_WORDS(tag) ((tag) & 0xff)
#define TAG_CAPS(tag)  ((tag) >> L4_TAG_CAPS_SHIFT & 0xff)

void endpoint_init(void *memory, u8 size_bits) { list_init(&((struct endpoint *)memory)->queue); }

/* Only receivers are left: a sender holds a capability. */
bool endpoint_destroy(struct object *o)
{
	struct endpoint *ep = (struct endpoint *)o;

	assert(list_empty(&ep->queue) || ep->receivers);
	if (!list_empty(&ep->queue))
		ipc_cancel(container_of(ep->queue.next, struct thread, link), L4_ERR_CANCELLED);
	return list_empty(&ep->queue);
}

/* Everything in a message that can be wrong is found before anything moves. */
static error_t check_message(struct thread *t, u64 tag, bool grant)
{
	if (unlikely(TAG_WORDS(tag) > L4_MSG_WORDS || TAG_CAPS(tag) > L4_MSG_CAPS))
		return L4_ERR_ARG;
	for (u64 k = 0; k < TAG_CAPS(tag); k++) {
		struct slot *s;
		error_t error = cap_lookup(t, READ_ONCE(t->utcb->caps[k]), &s);

		if (error)
			return error;
		if (s->type == L4_TYPE_UNTYPED)
			return L4_ERR_TYPE;
		if (!grant)
			return L4_ERR_RIGHTS;
	}
	return L4_ERR_OK;
}

/* Returns how many capabilities arrived. The sender's slots may have changed since the check. */
static u64 transfer_caps(struct thread *from, struct thread *to, u64 n)
{
	u64 first = READ_ONCE(to->utcb->recv_slot), k;

	for (k = 0; k < n && first; k++) {
		struct slot *src, *dst = to->cnode ? cnode_slot(to->cnode, first + k) : NULL;

		if (!dst || dst->type || cap_lookup(from, READ_ONCE(from->utcb->caps[k]), &src) ||
		    src->type == L4_TYPE_UNTYPED)
			break;
		slot_copy(dst, src, L4_RIGHT_ALL, src->badge, true);
	}
	return k;
}

static void transfer(struct thread *from, struct thread *to, u64 badge, bool grant)
{
	struct l4_frame *d = thread_frame(to), *s = thread_frame(from);

	if (unlikely(from->fault_label)) {
		u64 words[L4_MSG_REG_WORDS] = { from->fault_words[0], from->fault_words[1], from->fault_words[2],
		                                from->fault_words[3] };

		l4_frame_set_words(d, words);
		l4_frame_set_tag(d, (u64)from->fault_label << L4_TAG_LABEL_SHIFT | 4);
	} else {
		u64 tag = l4_frame_tag(s), words = TAG_WORDS(tag);

		l4_frame_copy_words(d, s, words);
		if (unlikely(words > L4_MSG_REG_WORDS))
			memcpy(&to->utcb->mr[L4_MSG_REG_WORDS], &from->utcb->mr[L4_MSG_REG_WORDS],
			       (words - L4_MSG_REG_WORDS) * sizeof(u64));
		if (unlikely(TAG_CAPS(tag))) {
			u64 caps = grant ? transfer_caps(from, to, TAG_CAPS(tag)) : 0;

			tag = (tag & ~(0xffUL << L4_TAG_CAPS_SHIFT)) | caps << L4_TAG_CAPS_SHIFT;
		}
		l4_frame_set_tag(d, tag);
	}
	l4_frame_set_badge(d, badge);
	l4_frame_set_error(d, L4_ERR_OK);
}

/* The caller waits in the receiver's Reply object; it lends its time to a passive receiver. */
static void link_call(struct thread *caller, struct thread *receiver, struct reply *r)
{
	r->receiver = NULL;
	r->caller = caller;
	caller->reply = r;
	sched_block(caller, THREAD_REPLY);
	if (!receiver->sc && caller->sc) {
		struct sched_context *sc = caller->sc;

		sched_context_move(sc, receiver);
		r->sc = sc;
		r->below = sc->replies;
		sc->replies = r;
	}
}

/* Direct switch: run `to` now if that is what the scheduler would do, else make it ready. */
void ipc_run(struct thread *to)
{
	thread_set_state(to, THREAD_RUN);
	if (this_cpu()->current->state != THREAD_RUN && sched_may_switch(to))
		sched_switch(to);
	else
		sched_wake(to);
}

error_t ipc_send(struct thread *t, struct slot *cap, u64 tag, bool block, bool call)
{
	struct endpoint *ep = SLOT_OBJECT(cap, endpoint);
	bool grant = cap->rights & L4_RIGHT_GRANT;
	error_t error;

	if (unlikely(!(cap->rights & L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (!t->fault_label) {
		error = check_message(t, tag, grant);
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
		list_remove(&r->link);
		r->endpoint = NULL;
		transfer(t, r, cap->badge, grant);
		reply_unbind(r);
		if (call)
			link_call(t, r, reply);
		ipc_run(r);
		return L4_ERR_OK;
	}
	if (!block)
		return L4_ERR_AGAIN;
	t->send_call = call;
	if (!t->fault_label)
		slot_hold(&t->send_slot, cap, HELD_SEND);
	t->endpoint = ep;
	sched_block(t, THREAD_SEND);
	ep->receivers = false;
	list_add_tail(&ep->queue, &t->link);
	return L4_ERR_OK;
}

error_t ipc_recv(struct thread *t, struct slot *cap, struct reply *reply, bool block)
{
	struct endpoint *ep = SLOT_OBJECT(cap, endpoint);

	if (unlikely(!(cap->rights & L4_RIGHT_READ)))
		return L4_ERR_RIGHTS;
	if (unlikely(reply && (reply->caller || reply->receiver)))
		return L4_ERR_BUSY;
	if (unlikely(t->bound && t->bound->word && !t->vcpu && t->sc)) {
		l4_frame_set_badge(thread_frame(t), t->bound->word);
		l4_frame_set_tag(thread_frame(t), 0);
		t->bound->word = 0;
		return L4_ERR_OK;
	}
	while (!ep->receivers && !list_empty(&ep->queue)) {
		struct thread *s = container_of(ep->queue.next, struct thread, link);
		const struct slot *from = s->fault_label ? &s->fault_slot : &s->send_slot;

		if (s->send_call ? !reply || (!t->sc && !s->sc) : !t->sc) {
			/* As in ipc_send: nowhere to keep the caller, or t would have no time. */
			ipc_cancel(s, L4_ERR_UNBOUND);
			continue;
		}
		list_remove(&s->link);
		s->endpoint = NULL;
		assert(from->type == L4_TYPE_ENDPOINT && SLOT_OBJECT(from, endpoint) == ep);
		transfer(s, t, from->badge, from->rights & L4_RIGHT_GRANT);
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
	t->endpoint = ep;
	sched_block(t, THREAD_RECV);
	ep->receivers = true;
	list_add_tail(&ep->queue, &t->link);
	return L4_ERR_OK;
}

/* *answered is the caller if it can go on; the kernel's caller runs it when t has nothing left to do. */
error_t ipc_reply(struct thread *t, struct slot *cap, u64 tag, struct thread **answered)
{
	struct reply *r = SLOT_OBJECT(cap, reply);
	struct thread *caller = r->caller;
	bool grant = cap->rights & L4_RIGHT_GRANT;
	error_t error;

	if (unlikely(!(cap->rights & L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (unlikely(!caller))
		return L4_ERR_UNBOUND;
	error = check_message(t, tag, grant);
	if (unlikely(error))
		return error;
	r->caller = NULL;
	caller->reply = NULL;
	sched_context_return(r, caller);
	if (unlikely(caller->fault_label)) {
		caller->fault_label = 0;
		if (tag >> L4_TAG_LABEL_SHIFT)
			sched_block(caller, THREAD_STOPPED);
		else
			*answered = caller;
		return L4_ERR_OK;
	}
	transfer(t, caller, 0, grant);
	*answered = caller;
	return L4_ERR_OK;
}

/* Take a thread out of whatever it waits for; it goes on with an error. */
void ipc_cancel(struct thread *t, error_t error)
{
	u8 state = t->state;

	if (state != THREAD_SEND && state != THREAD_RECV && state != THREAD_REPLY && state != THREAD_WAIT &&
	    state != THREAD_VCPU_WAIT)
		return;
	list_remove(&t->link);
	if (state == THREAD_RECV)
		reply_unbind(t);
	if (state == THREAD_REPLY && t->reply) {
		struct reply *r = t->reply;

		t->reply = NULL;
		r->caller = NULL;
		sched_context_return(r, t);
	}
	t->endpoint = NULL;
	t->waiting = NULL;
	slot_drop(&t->send_slot);
	if (t->fault_label) {
		/* Nobody handles its fault: it cannot go on. */
		t->fault_label = 0;
		sched_block(t, THREAD_STOPPED);
		return;
	}
	if (state != THREAD_VCPU_WAIT || error)
		l4_frame_set_error(thread_frame(t), error);
	sched_wake(t);
}

/* A thread cannot go on: tell its fault Endpoint, or stop it. */
void ipc_fault(struct thread *t, u64 label, u64 w0, u64 w1, u64 w2, u64 w3)
{
	struct slot *ep = &t->fault_slot;
	error_t error = L4_ERR_CAP;

	t->fault_words[0] = w0;
	t->fault_words[1] = w1;
	t->fault_words[2] = w2;
	t->fault_words[3] = w3;
	if (ep->type == L4_TYPE_ENDPOINT) {
		t->fault_label = label;
		error = ipc_send(t, ep, 0, true, true);
	}
	if (error) {
		t->fault_label = 0;
		printk("l4: thread %p stopped: fault %lu, %lx %lx ip %lx\n", t, label, w0, w1, w2);
		sched_block(t, THREAD_STOPPED);
	}
}

void reply_init(void *memory, u8 size_bits) {}

void reply_destroy(struct object *o)
{
	struct reply *r = (struct reply *)o;

	if (r->receiver)
		ipc_cancel(r->receiver, L4_ERR_CANCELLED);
	if (r->caller)
		ipc_cancel(r->caller, L4_ERR_CANCELLED);
}
