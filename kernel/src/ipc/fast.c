// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fast paths: a call that meets a waiting server, and an answer after which the server waits again. They do exactly
 * what ipc.c does in the common case: no capabilities, words in registers, both threads in their own mode with
 * unlimited time of their own, no thread of higher priority ready. In any other case they change nothing, and
 * trap_syscall() does the call.
 *
 * With several CPUs the entry code comes to functions of their own. These take the lock if nobody has it, for two
 * threads of this CPU: so nobody is to be stopped. Who finds with the lock held that it is no common case keeps it for
 * trap_syscall(). `out` stays as it is: nobody but who holds the lock looks at it.
 *
 * The message never leaves its registers: this file is compiled without them (kernel/meson.build), so it calls nothing.
 * What is seldom needed before the way out is called by entry.S, which saves these registers around the call. Of the
 * sender's other registers the entry code has saved those that a system call keeps; the receiver's are loaded on the
 * way out (arch/fast.h). The frame of a thread that waits here is otherwise as it was: what ipc.c or a signal delivers
 * to it is stored there then.
 */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/ipc.h>
#include <kernel/lock.h>
#include <kernel/notification.h>
#include <kernel/sched_context.h>
#include <arch/fast.h>

/* Called by entry.S. GCC takes a function that does not return for a cold one. */
void ipc_fast_call(ARCH_FAST_ARGS) __noreturn __hot;
void ipc_fast_reply_recv(ARCH_FAST_ARGS) __noreturn __hot;
void ipc_fast_call_many(ARCH_FAST_ARGS) __noreturn __hot;
void ipc_fast_reply_recv_many(ARCH_FAST_ARGS) __noreturn __hot;

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

/* Its SchedContext's CPU is this one, if there are several. */
static inline bool is_direct(const struct cpu *cpu, const struct thread *to, bool many)
{
	return likely(many ? to->direct == cpu : to->direct != NULL);
}

/*
 * Would the scheduler run `to` next, on this CPU, without any bookkeeping of time, and is its way out that of a system
 * call? It has no vCPU, so nothing is to be forgotten (note_cpu()). The time stops counting last, when all else holds:
 * nothing may be left to trap_syscall() after that, which would not charge it.
 */
static inline bool simple_target(struct cpu *cpu, const struct thread *to, bool many)
{
	return is_direct(cpu, to, many) && likely(to->priority > cpu->ready_top) && arch_fast_target(to) &&
	       stop_counting(cpu);
}

/* Take the lock if it is free. Whether it is held is noted when others have to know it: in leave(). */
static inline bool take_free_lock(void) { return arch_count_first(&kernel_ticket.count); }

/* Nothing was done. */
static inline void __noreturn leave(struct cpu *cpu, u64 number, u64 index, u64 tag, bool locked)
{
	if (locked)
		cpu->locked = true;
	arch_fast_leave(number, index, tag);
}

/* Returns to user mode of `to`, whose message is in the registers, but for badge and tag. */
static inline void __noreturn run(struct cpu *cpu, struct thread *from, struct thread *to, u64 badge, u64 tag,
                                  bool many)
{
	assert(to->cpu == cpu);
	thread_set_state(to, THREAD_RUN);
	event_live(THREAD_SWITCH, (u64)from, (u64)to);
	cpu->current = to;
	if (arch_fast_switch(cpu, from, to, many))
		arch_fast_return_fpu(to, badge, tag);
	if (many && lock_release())
		arch_fast_return_pass(to, badge, tag);
	arch_fast_return(to, badge, tag);
}

/* Does no sender wait? Then the next thread that waits may be a receiver. */
static inline bool receivers_only(struct endpoint *ep)
{
	if (likely(ep->receivers))
		return true;
	return ep->receivers = list_empty(&ep->queue);
}

/* No slot of its CNode changes while this CPU holds the lock, or is not out. */
static inline void __noreturn call(u64 index, u64 tag, bool many)
{
	struct cpu *cpu = this_cpu();
	struct thread *t = cpu->current;
	struct slot *cap = cap_find(t, index, L4_TYPE_ENDPOINT, L4_RIGHT_WRITE);
	struct endpoint *ep;
	struct thread *r;
	struct reply *reply;

	if (!cap || !simple_message(tag) || (many && !take_free_lock()))
		leave(cpu, L4_SYS_CALL, index, tag, false);
	ep = SLOT_OBJECT(cap, endpoint);
	if (unlikely(!ep->receivers || list_empty(&ep->queue)))
		leave(cpu, L4_SYS_CALL, index, tag, many);
	r = container_of(ep->queue.next, struct thread, link);
	reply = r->reply;
	if (unlikely(!reply) || !simple_target(cpu, r, many))
		leave(cpu, L4_SYS_CALL, index, tag, many);

	event_live(SYSCALL, L4_SYS_CALL, index);
	reply->receiver = NULL;
	list_unlink(&r->link);
	reply_keep(reply, t);
	thread_set_state(t, THREAD_REPLY);
	event_live(IPC, (u64)ep, tag);
	run(cpu, t, r, cap->badge, tag, many);
}

static inline void __noreturn reply_recv(u64 index, u64 tag, bool many)
{
	struct cpu *cpu = this_cpu();
	struct thread *t = cpu->current;
	struct slot *cap = cap_find(t, index, L4_TYPE_ENDPOINT, L4_RIGHT_READ);
	struct endpoint *ep;
	struct reply *reply;
	struct thread *caller;

	if (!cap || !simple_message(tag))
		leave(cpu, L4_SYS_REPLY_RECV, index, tag, false);
	ep = SLOT_OBJECT(cap, endpoint);
	cap = cap_find(t, l4_frame_reply(thread_frame(t)), L4_TYPE_REPLY, L4_RIGHT_WRITE);
	if (!cap || (many && !take_free_lock()))
		leave(cpu, L4_SYS_REPLY_RECV, index, tag, false);
	reply = SLOT_OBJECT(cap, reply);
	caller = reply->caller;
	if (unlikely(!caller) || unlikely(caller->fault_label) || unlikely(reply->sc) ||
	    unlikely(t->bound && t->bound->word) || !is_direct(cpu, caller, many) || !receivers_only(ep) ||
	    !simple_target(cpu, caller, many))
		leave(cpu, L4_SYS_REPLY_RECV, index, tag, many);

	event_live(SYSCALL, L4_SYS_REPLY_RECV, index);
	reply_release(reply);
	reply->receiver = t;
	t->reply = reply;
	thread_set_state(t, THREAD_RECV);
	list_add_tail(&ep->queue, &t->link);
	run(cpu, t, caller, 0, tag, many);
}

void ipc_fast_call(ARCH_FAST_ARGS) { call(index, tag, false); }
void ipc_fast_reply_recv(ARCH_FAST_ARGS) { reply_recv(index, tag, false); }
void ipc_fast_call_many(ARCH_FAST_ARGS) { call(index, tag, true); }
void ipc_fast_reply_recv_many(ARCH_FAST_ARGS) { reply_recv(index, tag, true); }
