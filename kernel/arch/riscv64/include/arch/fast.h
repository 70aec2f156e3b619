/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ipc/fast.c needs of the CPU. From its entry on the registers of a message (a3 to a6, t0, t1) are the sender's;
 * the entry code has saved the others but a0 to a2, and the receiver's are loaded by return_message (entry.S).
 */
#ifndef ARCH_FAST_H
#define ARCH_FAST_H

#include <kernel/lock.h>
#include "riscv.h"

#define ARCH_FAST_ARGS u64 unused, u64 index, u64 tag /* in the registers of the system call */

/* Every thread that waits in a system call of its own mode can be run. */
static inline bool arch_fast_target(const struct thread *to) { return true; }

/* Is the FPU to be switched behind it? */
static inline bool arch_fast_switch(struct cpu *cpu, struct thread *from, struct thread *to, bool many)
{
	struct arch_cpu *c = &cpu->arch;

	c->frame = (u64)thread_frame(to);
	if (likely(c->root != to->root)) {
		event_live(SPACE_SWITCH, to->root, 0);
		load_root(c, to->root);
	} else if (many && unlikely(READ_ONCE(c->stale))) {
		flush_stale(c);
	}
	return unlikely(c->fs_mask) || unlikely(c->fpu_owner == to);
}

/* To user mode; the same behind ipc_fast_fpu() and behind lock_pass(). */
#define FAST_RETURN(name, label)                                                                       \
	static inline void __noreturn name(struct thread *to, u64 badge, u64 tag)                      \
	{                                                                                              \
		register void *frame __asm__("a0") = thread_frame(to);                                 \
		register u64 a1 __asm__("a1") = badge;                                                 \
		register u64 a2 __asm__("a2") = tag;                                                   \
		register u64 words __asm__("t2") = tag & 0xffff;                                       \
                                                                                                       \
		__asm__ volatile("j " #label : : "r"(frame), "r"(a1), "r"(a2), "r"(words) : "memory"); \
		__builtin_unreachable();                                                               \
	}
FAST_RETURN(arch_fast_return, return_message)
FAST_RETURN(arch_fast_return_fpu, return_message_fpu)
FAST_RETURN(arch_fast_return_pass, return_message_pass)
#undef FAST_RETURN

/* Nothing was done: as any other system call. Its number is in the frame already. */
static inline void __noreturn arch_fast_leave(u64 number, u64 index, u64 tag)
{
	register u64 a1 __asm__("a1") = index;
	register u64 a2 __asm__("a2") = tag;

	__asm__ volatile("j entry_message" : : "r"(a1), "r"(a2) : "memory");
	__builtin_unreachable();
}

#endif
