/* SPDX-License-Identifier: BSD-2-Clause */
/* Typed stubs of every system call. All return an error (L4_ERR_...); outputs are written in any case. */
#ifndef L4_SYSCALL_H
#define L4_SYSCALL_H

#include <l4/types.h>
#include <l4/arch.h>

/* UTCB of the only thread of a program that starts at _start. */
extern struct l4_utcb *l4_utcb;

static inline unsigned long l4_send(unsigned long cap, struct l4_msg *msg)
{
	return l4_syscall(L4_SYS_SEND, cap, 0, msg);
}

static inline unsigned long l4_nb_send(unsigned long cap, struct l4_msg *msg)
{
	return l4_syscall(L4_SYS_NB_SEND, cap, 0, msg);
}

static inline unsigned long l4_recv(unsigned long cap, unsigned long reply, struct l4_msg *msg)
{
	return l4_syscall(L4_SYS_RECV, cap, reply, msg);
}

static inline unsigned long l4_nb_recv(unsigned long cap, unsigned long reply, struct l4_msg *msg)
{
	return l4_syscall(L4_SYS_NB_RECV, cap, reply, msg);
}

static inline unsigned long l4_call(unsigned long cap, struct l4_msg *msg)
{
	return l4_syscall(L4_SYS_CALL, cap, 0, msg);
}

static inline unsigned long l4_reply_recv(unsigned long cap, unsigned long reply, struct l4_msg *msg)
{
	return l4_syscall(L4_SYS_REPLY_RECV, cap, reply, msg);
}

static inline unsigned long l4_signal(unsigned long cap)
{
	struct l4_msg msg = { 0 };

	return l4_syscall(L4_SYS_SIGNAL, cap, 0, &msg);
}

static inline unsigned long l4_wait(unsigned long cap, unsigned long *bits)
{
	struct l4_msg msg = { 0 };
	unsigned long error = l4_syscall(L4_SYS_WAIT, cap, 0, &msg);

	*bits = error ? 0 : msg.badge;
	return error;
}

static inline unsigned long l4_poll(unsigned long cap, unsigned long *bits)
{
	struct l4_msg msg = { 0 };
	unsigned long error = l4_syscall(L4_SYS_POLL, cap, 0, &msg);

	*bits = error ? 0 : msg.badge;
	return error;
}

/* results may be NULL; else it receives L4_MSG_REG_WORDS words. */
static inline __attribute__((always_inline)) unsigned long
l4_invoke(unsigned long cap, unsigned long operation, unsigned long a0, unsigned long a1, unsigned long a2,
          unsigned long a3, unsigned long a4, unsigned long a5, unsigned long *results)
{
	struct l4_msg msg = { .tag = operation, .words = { a0, a1, a2, a3, a4, a5 } };
	unsigned long error = l4_syscall(L4_SYS_INVOKE, cap, 0, &msg);
	int i;

	if (results)
		for (i = 0; i < L4_MSG_REG_WORDS; i++)
			results[i] = msg.words[i];
	return error;
}

static inline unsigned long l4_yield(void)
{
	struct l4_msg msg = { 0 };

	return l4_syscall(L4_SYS_YIELD, 0, 0, &msg);
}

/* At most 48 bytes, by the capability that the root pager gives everybody who may. */
static inline unsigned long l4_debug_write(const char *text, unsigned long bytes)
{
	struct l4_msg msg = { .tag = bytes };
	unsigned long i;

	for (i = 0; i < bytes && i < sizeof(msg.words); i++)
		msg.words[i / 8] |= (unsigned long)(unsigned char)text[i] << 8 * (i % 8);
	return l4_syscall(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, 0, &msg);
}

static inline unsigned long l4_debug_counter(unsigned long index, unsigned long *value)
{
	struct l4_msg msg = { .tag = index };
	unsigned long error = l4_syscall(L4_SYS_DEBUG_COUNTER, 0, 0, &msg);

	*value = msg.words[0];
	return error;
}

/* Returns only when the thread is no vCPU; else the guest goes on at vcpu_page.user_entry. */
static inline unsigned long l4_vcpu_enter(unsigned long guestspace)
{
	struct l4_msg msg = { 0 };

	return l4_syscall(L4_SYS_VCPU_ENTER, guestspace, 0, &msg);
}

static inline unsigned long l4_vcpu_resume(void)
{
	struct l4_msg msg = { 0 };

	return l4_syscall(L4_SYS_VCPU_RESUME, 0, 0, &msg);
}

static inline unsigned long l4_vcpu_wait(void)
{
	struct l4_msg msg = { 0 };

	return l4_syscall(L4_SYS_VCPU_WAIT, 0, 0, &msg);
}

static inline unsigned long l4_vcpu_timer(unsigned long counter)
{
	struct l4_msg msg = { .tag = counter };

	return l4_syscall(L4_SYS_VCPU_TIMER, 0, 0, &msg);
}

static inline unsigned long l4_vcpu_flush(unsigned long start, unsigned long end)
{
	struct l4_msg msg = { .words = { start, end } };

	return l4_syscall(L4_SYS_VCPU_FLUSH, 0, 0, &msg);
}

#endif
