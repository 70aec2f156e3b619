/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What ipc/fast.c needs of the CPU. From its entry on the registers of a message (rdx, r10, r8, r9, r12, r13) are the
 * sender's; the entry code has saved ip, sp, flags, di, bx, bp, r14 and r15, and the receiver's are loaded by
 * return_message (entry.S).
 */
#ifndef ARCH_FAST_H
#define ARCH_FAST_H

#include "x86.h"

#define ARCH_FAST_ARGS u64 index, u64 tag /* in the registers of the system call */

/* SYSRET loads only these flags, without a trap behind it. */
#define FLAGS_SYSRET ((FLAGS_USER | FLAGS_SET) & ~FLAGS_TF)

/* Can `to`, which waits in a system call, be run without selectors being loaded, by SYSRET? */
static inline bool arch_fast_target(const struct thread *to)
{
	return likely(!(selectors_used() | to->arch.selectors_used)) && likely(!(to->arch.frame.flags & ~FLAGS_SYSRET));
}

/* Is the FPU to be switched behind it? */
static inline bool arch_fast_switch(struct cpu *cpu, struct thread *from, struct thread *to, bool many)
{
	struct arch_cpu *c = &cpu->arch;

	switch_bases(&from->arch, &to->arch);
	c->frame_end = (u64)(thread_frame(to) + 1);
	if (likely(c->root != to->root)) {
		event_live(SPACE_SWITCH, to->root, 0);
		mmu_load(c, to->root);
	} else if (many && unlikely(c->stale)) {
		c->stale = false;
		write_cr3(c->root);
	}
	return unlikely(c->fpu_off != (c->fpu_owner != to));
}

/* To user mode; the same behind ipc_fast_fpu() and behind lock_pass(). */
#define FAST_RETURN(name, label)                                                                                \
	static inline void __noreturn name(struct thread *to, u64 badge, u64 tag)                               \
	{                                                                                                       \
		__asm__ volatile("jmp " #label : : "a"(thread_frame(to) + 1), "D"(badge), "S"(tag) : "memory"); \
		__builtin_unreachable();                                                                        \
	}
FAST_RETURN(arch_fast_return, return_message)
FAST_RETURN(arch_fast_return_fpu, return_message_fpu)
FAST_RETURN(arch_fast_return_pass, return_message_pass)
#undef FAST_RETURN

/* Nothing was done: as any other system call. Its capability's index is in the frame. */
static inline void __noreturn arch_fast_leave(u64 number, u64 index, u64 tag)
{
	__asm__ volatile("jmp entry_message" : : "a"(number), "S"(tag) : "memory");
	__builtin_unreachable();
}

#endif
