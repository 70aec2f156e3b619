/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The head of struct cpu that entry.S uses. Offsets are asserted in cpu.c. The kernel's stack ends where struct cpu
 * begins; below the stack is a page that is not mapped.
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#define CPU_SCRATCH 0
#define CPU_STACK   8
#define CPU_ENTRY   16
#define CPU_FRAME   24
#define CPU_FS_MASK 32
#define CPU_STATUS  40

#define KERNEL_GUARD 4096
#define KERNEL_STACK 16384

/* Values of struct thread.entry: entry.S looks at the sign. */
#define ENTRY_OWN          0
#define ENTRY_GUEST_KERNEL 1
#define ENTRY_GUEST_USER   -1
#define ENTRY_ABOVE        2 /* no guest has that mode on this CPU */

#define ARCH_IOPORTS 0

#ifndef __ASSEMBLER__
#include <kernel/types.h>

struct arch_cpu {
	u64 scratch;
	u64 stack;
	u64 entry;       /* ENTRY_*: the mode of the current thread */
	u64 frame;       /* where registers are saved */
	u64 fs_mask;     /* sstatus.FS if the current thread owns the FP registers; 0: FS is off */
	u64 status;      /* sstatus of user mode without FS */
	u64 root;        /* satp */
	u64 hart;        /* number of this CPU for firmware and device tree */
	u32 context;     /* number of its context at the PLIC, plus 1; 0: it has none */
	bool root_died;  /* root is no more: another is to be loaded before user mode */
	u32 stale;       /* translations of roots that are not in use may be wrong */
	u32 untagged;    /* always, as some roots have no tag of their own */
	void *fpu_owner; /* thread whose state is in the registers, if it has not been loaded elsewhere since */
} __aligned(16);

/* There are no I/O ports: no caller gets here. */
static inline u32 arch_port_in(u16 port, u64 width) { return ~0U; }
static inline void arch_port_out(u16 port, u64 width, u32 value) {}

/* In the kernel tp points to it; in user mode sscratch does. */
static inline struct cpu *this_cpu(void) { return __builtin_thread_pointer(); }

/* See kernel/arch.h. For the compiler's own a word is a register's sign-extended half, and a release a fence. */
static inline bool arch_count_first(u32 *count)
{
	u64 word;

	__asm__ goto("1:	lr.w.aq	%0, %1\n\tbnez	%0, %l[others]\n\tsc.w	%0, %2, %1\n\tbnez	%0, 1b"
	             : "=&r"(word), "+A"(*count)
	             : "r"(1UL)
	             : "memory"
	             : others);
	return true;
others:
	return false;
}
static inline bool arch_count_last(u32 *count)
{
	u64 before;

	__asm__ volatile("amoadd.w.rl	%0, %2, %1" : "=r"(before), "+A"(*count) : "r"(-1UL) : "memory");
	return likely(before == 1);
}

/* time.c: in loops that wait for another CPU. */
void arch_relax(void);
#endif
#endif
