/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ipc/fast.c needs of the CPU. From its entry on the registers of a message (x3 to x7, x9) are the sender's; the
 * entry code has saved those from x8 on, and the receiver's are loaded by return_message (entry.S).
 */
#ifndef ARCH_FAST_H
#define ARCH_FAST_H

#include "arm.h"

#define ARCH_FAST_ARGS struct cpu *unused, u64 index, u64 tag /* in the registers of the system call */

/* Is `to`, which waits in a system call, not stepped? */
static inline bool arch_fast_target(const struct thread *to) { return likely(!(to->arch.frame.pstate & PSTATE_SS)); }

/* Is the FPU to be switched behind it? */
static inline bool arch_fast_switch(struct cpu *cpu, struct thread *from, struct thread *to, bool many)
{
	struct arch_cpu *c = &cpu->arch;

	from->arch.tls = read_sysreg(tpidr_el0);
	write_sysreg(to->arch.tls, tpidr_el0);
	c->frame = (u64)thread_frame(to);
	if (likely(c->root != to->root)) {
		event_live(SPACE_SWITCH, to->root, 0);
		mmu_load(c, to->root);
	} else if (many && unlikely(c->stale)) {
		c->stale = c->root_died = false;
		mmu_load(c, to->root);
	}
	return unlikely(c->fpu_off != (c->fpu_owner != to));
}

/* To user mode; the same behind ipc_fast_fpu() and behind lock_pass(). */
#define FAST_RETURN(name, label)                                                                       \
	static inline void __noreturn name(struct thread *to, u64 badge, u64 tag)                      \
	{                                                                                              \
		register void *frame __asm__("x0") = thread_frame(to);                                 \
		register u64 x1 __asm__("x1") = badge;                                                 \
		register u64 x2 __asm__("x2") = tag;                                                   \
		register u64 words __asm__("x8") = tag & 0xffff;                                       \
                                                                                                       \
		__asm__ volatile("b " #label : : "r"(frame), "r"(x1), "r"(x2), "r"(words) : "memory"); \
		__builtin_unreachable();                                                               \
	}
FAST_RETURN(arch_fast_return, return_message)
FAST_RETURN(arch_fast_return_fpu, return_message_fpu)
FAST_RETURN(arch_fast_return_pass, return_message_pass)
#undef FAST_RETURN

/* Nothing was done: as any other system call. Its number is in the frame already. */
static inline void __noreturn arch_fast_leave(u64 number, u64 index, u64 tag)
{
	register u64 x1 __asm__("x1") = index;
	register u64 x2 __asm__("x2") = tag;

	__asm__ volatile("b entry_message" : : "r"(x1), "r"(x2) : "memory");
	__builtin_unreachable();
}

#endif
