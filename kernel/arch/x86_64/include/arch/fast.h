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

/* Has arch_lock_taken() something to do? */
static inline bool arch_fast_stale(const struct arch_cpu *c) { return READ_ONCE(c->stale); }

static inline void arch_fast_switch(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &cpu->arch;

	switch_bases(&from->arch, &to->arch);
	c->frame_end = (u64)(thread_frame(to) + 1);
	if (likely(c->root != to->root)) {
		event_live(SPACE_SWITCH, to->root, 0);
		mmu_load(c, to->root);
	}
	if (unlikely(c->fpu_off != (c->fpu_owner != to)))
		fpu_switch_live(to);
}

static inline void __noreturn arch_fast_return(struct thread *to, u64 badge, u64 tag)
{
	__asm__ volatile("jmp return_message" : : "a"(thread_frame(to) + 1), "D"(badge), "S"(tag) : "memory");
	__builtin_unreachable();
}

/* Nothing was done: as any other system call. Its capability's index is in the frame. */
static inline void __noreturn arch_fast_leave(u64 number, u64 index, u64 tag)
{
	__asm__ volatile("jmp entry_message" : : "a"(number), "S"(tag) : "memory");
	__builtin_unreachable();
}

#endif
