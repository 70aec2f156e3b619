// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fast paths: a call that meets a waiting server, and an answer after which the server waits again. They do exactly
 * what ipc.c does in the common case: no capabilities, words in registers, both threads with unlimited time of their
 * own, no thread of higher priority ready. In any other case they change nothing and return false.
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/ipc.h>
#include <kernel/notification.h>
#include <kernel/sched_context.h>

static inline bool simple_message(u64 tag) { return likely((tag & 0xffff) <= L4_MSG_REG_WORDS); }

/* Would the scheduler run `to` next, without any bookkeeping of time? */
static inline bool simple_target(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct sched_context *sc = to->sc;

	assert(from->sc);
	return likely(sc) && likely(sc->unlimited) && likely(to->priority > cpu->ready_top) && likely(!to->exit_work) &&
	       likely(from->sc->unlimited);
}

static inline void deliver(struct l4_frame *d, const struct l4_frame *s, u64 badge, u64 tag)
{
	l4_frame_copy_words(d, s, tag & 0xff);
	l4_frame_set_badge(d, badge);
	l4_frame_set_tag(d, tag);
	l4_frame_set_error(d, L4_ERR_OK);
}

static inline void run(struct cpu *cpu, struct thread *from, struct thread *to)
{
	thread_set_state(to, THREAD_RUN);
	event(EVENT_THREAD_SWITCH, (u64)from, (u64)to);
	cpu->timed = NULL;
	cpu->current = to;
	arch_switch(cpu, from, to);
}

bool ipc_fast_call(struct cpu *cpu, struct thread *t, struct l4_frame *f)
{
	struct slot *cap = cap_find(t, l4_frame_cap(f), L4_TYPE_ENDPOINT, L4_RIGHT_WRITE);
	u64 tag = l4_frame_tag(f);
	struct endpoint *ep;
	struct thread *r;
	struct reply *reply;

	if (!cap || !simple_message(tag))
		return false;
	ep = SLOT_OBJECT(cap, endpoint);
	if (unlikely(!ep->receivers || list_empty(&ep->queue)))
		return false;
	r = container_of(ep->queue.next, struct thread, link);
	reply = r->reply;
	if (unlikely(!reply) || !simple_target(cpu, t, r))
		return false;

	reply_unbind(r);
	endpoint_leave(r);
	reply_keep(reply, t);
	thread_set_state(t, THREAD_REPLY);
	event(EVENT_IPC, (u64)ep, tag);
	deliver(thread_frame(r), f, cap->badge, tag);
	run(cpu, t, r);
	return true;
}

bool ipc_fast_reply_recv(struct cpu *cpu, struct thread *t, struct l4_frame *f)
{
	struct slot *cap = cap_find(t, l4_frame_cap(f), L4_TYPE_ENDPOINT, L4_RIGHT_READ);
	struct slot *reply_cap = cap_find(t, l4_frame_reply(f), L4_TYPE_REPLY, L4_RIGHT_WRITE);
	u64 tag = l4_frame_tag(f);
	struct endpoint *ep;
	struct reply *reply;
	struct thread *caller;

	if (!cap || !reply_cap || !simple_message(tag))
		return false;
	ep = SLOT_OBJECT(cap, endpoint);
	reply = SLOT_OBJECT(reply_cap, reply);
	caller = reply->caller;
	if (unlikely(!caller) || unlikely(caller->fault_label) || unlikely(reply->sc) ||
	    unlikely(t->bound && t->bound->word) || unlikely(!ep->receivers && !list_empty(&ep->queue)) ||
	    !simple_target(cpu, t, caller))
		return false;

	reply_release(reply, caller);
	reply->receiver = t;
	t->reply = reply;
	t->endpoint = ep;
	thread_set_state(t, THREAD_RECV);
	ep->receivers = true;
	list_add_tail(&ep->queue, &t->link);
	deliver(thread_frame(caller), f, 0, tag);
	run(cpu, t, caller);
	return true;
}
