// SPDX-License-Identifier: GPL-2.0-only
/* System calls: decode the number and the capability, call the operation, store the result. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/entry.h>
#include <kernel/hold.h>
#include <kernel/ipc.h>
#include <kernel/log.h>
#include <kernel/notification.h>
#include <kernel/sched.h>
#include <kernel/vcpu.h>
#include <kernel/vspace.h>

/* With several CPUs: what others use without the lock changes when they do not. */
static __cold void stop_for(u8 type, u64 op)
{
	if (invocation_stops_all(type, op))
		cpus_stop();
}

/* Word by word: an initialiser clears all of it first, by REP STOS on x86_64. */
static inline void start_invocation(struct invocation *i, struct thread *t, struct slot *cap, const struct l4_frame *f)
{
	i->caller = t;
	i->slot = cap;
	i->op = l4_frame_tag(f);
	l4_frame_get_words(f, i->arg.word);
	i->result.word[0] = 0;
	i->result.word[1] = 0;
	i->result.word[2] = 0;
	i->result.word[3] = 0;
	i->result.word[4] = 0;
	i->result.word[5] = 0;
	_Static_assert(sizeof(i->result) == 6 * sizeof(u64), "all words of the result");
	i->again = false;
}

/* INVOKE: an operation on the object of a capability. */
static inline error_t invoke(struct thread *t, struct l4_frame *f)
{
	struct invocation i;
	struct slot *cap;
	error_t error = cap_lookup(t, l4_frame_cap(f), &cap);

	if (unlikely(error))
		return error;
	start_invocation(&i, t, cap, f);
	hold_note(cap->type << 8 | (i.op & 0xff));
	if (cpus_many())
		stop_for(cap->type, i.op);
	error = object_invoke(&i);
	if (i.again) {
		/* The arguments may have become those of what is left to do. */
		l4_frame_set_words(f, i.arg.word);
		frame_repeat_syscall(f);
	} else if (!error) {
		l4_frame_set_words(f, i.result.word);
	}
	return error;
}

/* SEND, NB_SEND, CALL: to an Endpoint, or an answer to a Reply object. */
static error_t send(struct thread *t, struct l4_frame *f, bool block, bool call)
{
	struct slot *cap;
	error_t error = cap_lookup(t, l4_frame_cap(f), &cap);

	if (unlikely(error))
		return error;
	if (likely(cap->type == L4_TYPE_ENDPOINT))
		return ipc_send(t, cap, l4_frame_tag(f), block, call);
	if (cap->type == L4_TYPE_REPLY && !call) {
		struct thread *answered;

		error = ipc_check_reply(t, cap, l4_frame_tag(f));
		if (unlikely(error))
			return error;
		answered = ipc_reply(t, cap, l4_frame_tag(f));
		if (answered)
			sched_wake(answered);
		return L4_ERR_OK;
	}
	return L4_ERR_TYPE;
}

/* RECV, NB_RECV, REPLY_RECV: answer, if there is a caller, then receive. */
static error_t recv(struct thread *t, struct l4_frame *f, bool block, bool answer)
{
	struct slot *cap, *slot = NULL;
	struct reply *reply = NULL;
	struct thread *answered = NULL;
	error_t error = cap_lookup_type(t, l4_frame_cap(f), L4_TYPE_ENDPOINT, L4_RIGHT_READ, &cap);

	if (unlikely(error))
		return error;
	if (l4_frame_reply(f) || answer) {
		error = cap_lookup_type(t, l4_frame_reply(f), L4_TYPE_REPLY, L4_RIGHT_WRITE, &slot);
		if (unlikely(error))
			return error;
		reply = SLOT_OBJECT(slot, reply);
		answer = answer && reply->caller;
		if (answer)
			error = ipc_check_reply(t, slot, l4_frame_tag(f));
		else if (reply->caller || reply->receiver)
			error = L4_ERR_BUSY;
		if (unlikely(error))
			return error;
	}
	if (unlikely(!ipc_cancel_undeliverable(t, SLOT_OBJECT(cap, endpoint), reply))) {
		frame_repeat_syscall(f);
		return L4_ERR_OK;
	}
	if (answer)
		answered = ipc_reply(t, slot, l4_frame_tag(f));
	/*
	 * After an answer it cannot fail: REPLY_RECV blocks, and a Reply object never has both a caller and a receiver, so
	 * the answer freed it.
	 */
	error = ipc_recv(t, cap, reply, block);
	assert(!answer || !error);
	if (answered)
		sched_run(answered);
	return error;
}

static error_t wait(struct thread *t, struct l4_frame *f, u64 number)
{
	struct slot *cap;
	error_t error = cap_lookup_type(t, l4_frame_cap(f), L4_TYPE_NOTIFICATION, L4_RIGHT_READ, &cap);

	return unlikely(error) ? error : notification_wait(t, SLOT_OBJECT(cap, notification), number == L4_SYS_WAIT);
}

/* DEBUG_WRITE and DEBUG_COUNTER. Not inlined, so that dispatch() has room for invoke(): both would save registers. */
static noinline error_t debug_call(struct thread *t, struct l4_frame *f, u64 number)
{
	u64 words[L4_MSG_REG_WORDS], rest[L4_MSG_REG_WORDS] = { 0 }, n = l4_frame_tag(f), done;
	struct slot *cap;
	error_t error;

	if (number == L4_SYS_DEBUG_COUNTER) {
		l4_frame_get_words(f, words);
		error = n >= HOLD_FIRST ? hold_call(n, words) : trace_counter(n, &words[0], (char *)&words[1]);
		if (!error)
			l4_frame_set_words(f, words);
		return error;
	}
	error = cap_lookup_type(t, l4_frame_cap(f), L4_TYPE_CONTROL, L4_RIGHT_READ, &cap);
	if (error)
		return error;
	if (n > sizeof(words))
		return L4_ERR_RANGE;
	l4_frame_get_words(f, words);
	done = t->vcpu ? log_write_guest((const char *)words, n) : log_write((const char *)words, n);
	if (done < n) {
		/* The rest is written by a repeated call. */
		memcpy(rest, (const char *)words + done, n - done);
		l4_frame_set_words(f, rest);
		l4_frame_set_tag(f, n - done);
		frame_repeat_syscall(f);
	}
	return L4_ERR_OK;
}

static __cold void stop_for_guest(const struct thread *t)
{
	if (!t->vspace->alone)
		cpus_stop_users(NULL, t->vspace);
}

static error_t vcpu_call(struct thread *t, struct l4_frame *f, u64 number)
{
	if (unlikely(!t->vcpu))
		return L4_ERR_UNBOUND;
	if (cpus_many())
		stop_for_guest(t);
	switch (number) {
	case L4_SYS_VCPU_RESUME:
		return vcpu_resume(t);
	case L4_SYS_VCPU_WAIT:
		return vcpu_wait(t);
	case L4_SYS_VCPU_TIMER:
		return vcpu_timer(t, l4_frame_tag(f));
	case L4_SYS_VCPU_ENTRIES:
		return vcpu_entries(t);
	case L4_SYS_VCPU_PREEMPTED:
		return vcpu_preempted(t, l4_frame_tag(f));
	default:
		return vcpu_flush(t);
	}
}

static error_t dispatch(struct thread *t, struct l4_frame *f, u64 number)
{
	switch (number) {
	case L4_SYS_SEND:
		return send(t, f, true, false);
	case L4_SYS_NB_SEND:
		return send(t, f, false, false);
	case L4_SYS_RECV:
		return recv(t, f, true, false);
	case L4_SYS_NB_RECV:
		return recv(t, f, false, false);
	case L4_SYS_CALL:
		return send(t, f, true, true);
	case L4_SYS_REPLY_RECV:
		return recv(t, f, true, true);
	case L4_SYS_SIGNAL:
		return notification_signal_slot(t, l4_frame_cap(f));
	case L4_SYS_WAIT:
	case L4_SYS_POLL:
		return wait(t, f, number);
	case L4_SYS_INVOKE:
		return invoke(t, f);
	case L4_SYS_YIELD:
		sched_yield();
		return L4_ERR_OK;
	case L4_SYS_DEBUG_WRITE:
	case L4_SYS_DEBUG_COUNTER:
		return debug_call(t, f, number);
	case L4_SYS_VCPU_ENTER: /* of a thread without a vCPU: see trap_vcpu_enter() */
		return L4_ERR_UNBOUND;
	case L4_SYS_VCPU_RESUME:
	case L4_SYS_VCPU_WAIT:
	case L4_SYS_VCPU_TIMER:
	case L4_SYS_VCPU_FLUSH:
	case L4_SYS_VCPU_ENTRIES:
	case L4_SYS_VCPU_PREEMPTED:
		return vcpu_call(t, f, number);
	default:
		return L4_ERR_SYSCALL;
	}
}

/*
 * The entry of every system call but VCPU_ENTER and those that ipc/fast.c has done.
 *
 * A system call that blocked or changed registers has written its own result when it is resumed; so the
 * result is stored before the operation, and again only if it failed.
 */
void trap_syscall(struct thread *t)
{
	struct l4_frame *f = thread_frame(t);
	u64 number = l4_frame_number(f);
	error_t error;

	if (unlikely(!kernel_lock(LOCK_SYSCALL))) {
		trap_exit();
		return;
	}
	event(EVENT_SYSCALL, number, l4_frame_cap(f));
	hold_note(number);
	l4_frame_set_error(f, L4_ERR_OK);
	error = dispatch(t, f, number);
	if (unlikely(error))
		l4_frame_set_error(f, error);
	trap_exit();
}
