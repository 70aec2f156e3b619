// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fast paths: a call that meets a waiting server, and an answer after which the server waits again. They do exactly
 * what ipc.c does in the common case: no capabilities, words in registers, both threads in their own mode with
 * unlimited time of their own, no thread of higher priority ready, one CPU. In any other case they change nothing, and
 * trap_syscall() does the call.
 *
 * The message never leaves its registers: this file is compiled without them (kernel/meson.build), so it calls
 * functions of assembler only. Of the sender's other registers the entry code has saved those that a system call
 * keeps; the receiver's are loaded on the way out (arch/fast.h). The frame of a thread that waits here is otherwise as
 * it was: what ipc.c or a signal delivers to it is stored there then.
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/ipc.h>
#include <kernel/notification.h>
#include <kernel/sched_context.h>
#include <arch/fast.h>

/* Called by entry.S. GCC takes a function that does not return for a cold one. */
void ipc_fast_call(ARCH_FAST_ARGS) __noreturn __hot;
void ipc_fast_reply_recv(ARCH_FAST_ARGS) __noreturn __hot;

static inline bool simple_message(u64 tag) { return likely((tag & 0xffff) <= L4_MSG_REG_WORDS); }

/* Is the current thread's time unlimited? Then it counts no longer. */
static inline bool stop_counting(struct cpu *cpu)
{
	if (likely(!cpu->timed))
		return true;
	if (!cpu->timed->unlimited)
		return false;
	cpu->timed = NULL;
	return true;
}

/* Would the scheduler run `to` next, without any bookkeeping of time, and is its way out that of a system call? */
static inline bool simple_target(struct cpu *cpu, const struct thread *to)
{
	return likely(to->direct) && likely(to->priority > cpu->ready_top) && arch_fast_target(to) &&
	       stop_counting(cpu);
}

/* Returns to user mode of `to`, whose message is in the registers, but for badge and tag. */
static inline void __noreturn run(struct cpu *cpu, struct thread *from, struct thread *to, u64 badge, u64 tag)
{
	thread_set_state(to, THREAD_RUN);
	event_live(THREAD_SWITCH, (u64)from, (u64)to);
	cpu->current = to;
	arch_fast_switch(cpu, from, to);
	arch_fast_return(to, badge, tag);
}

/*
 * Does no sender wait? Then the next thread that waits may be a receiver. Not asked with several CPUs, where no thread
 * is `direct`: what comes before it only reads. What another CPU changes meanwhile, with the lock, is read once: a
 * thread that is seen in the queue is one, since who destroys threads stops this CPU first.
 */
static inline bool receivers_only(struct endpoint *ep)
{
	if (likely(ep->receivers))
		return true;
	return ep->receivers = list_empty(&ep->queue);
}

void ipc_fast_call(ARCH_FAST_ARGS)
{
	struct cpu *cpu = this_cpu();
	struct thread *t = cpu->current;
	struct slot *cap = cap_find(t, index, L4_TYPE_ENDPOINT, L4_RIGHT_WRITE);
	struct endpoint *ep;
	struct list *first;
	struct thread *r;
	struct reply *reply;

	if (!cap || !simple_message(tag))
		arch_fast_leave(L4_SYS_CALL, index, tag);
	ep = SLOT_OBJECT(cap, endpoint);
	first = READ_ONCE(ep->queue.next);
	if (unlikely(!ep->receivers || first == &ep->queue))
		arch_fast_leave(L4_SYS_CALL, index, tag);
	r = container_of(first, struct thread, link);
	reply = r->reply;
	if (unlikely(!reply) || !simple_target(cpu, r))
		arch_fast_leave(L4_SYS_CALL, index, tag);

	event_live(SYSCALL, L4_SYS_CALL, index);
	reply->receiver = NULL;
	list_unlink(&r->link);
	reply_keep(reply, t);
	thread_set_state(t, THREAD_REPLY);
	event_live(IPC, (u64)ep, tag);
	run(cpu, t, r, cap->badge, tag);
}

void ipc_fast_reply_recv(ARCH_FAST_ARGS)
{
	struct cpu *cpu = this_cpu();
	struct thread *t = cpu->current;
	struct slot *cap = cap_find(t, index, L4_TYPE_ENDPOINT, L4_RIGHT_READ);
	struct endpoint *ep;
	struct reply *reply;
	struct thread *caller;

	if (!cap || !simple_message(tag))
		arch_fast_leave(L4_SYS_REPLY_RECV, index, tag);
	ep = SLOT_OBJECT(cap, endpoint);
	cap = cap_find(t, l4_frame_reply(thread_frame(t)), L4_TYPE_REPLY, L4_RIGHT_WRITE);
	if (!cap)
		arch_fast_leave(L4_SYS_REPLY_RECV, index, tag);
	reply = SLOT_OBJECT(cap, reply);
	caller = READ_ONCE(reply->caller);
	if (unlikely(!caller) || unlikely(caller->fault_label) || unlikely(reply->sc) ||
	    unlikely(t->bound && t->bound->word) || unlikely(!caller->direct) || !receivers_only(ep) ||
	    !simple_target(cpu, caller))
		arch_fast_leave(L4_SYS_REPLY_RECV, index, tag);

	event_live(SYSCALL, L4_SYS_REPLY_RECV, index);
	reply_release(reply);
	reply->receiver = t;
	t->reply = reply;
	thread_set_state(t, THREAD_RECV);
	list_add_tail(&ep->queue, &t->link);
	run(cpu, t, caller, 0, tag);
}
