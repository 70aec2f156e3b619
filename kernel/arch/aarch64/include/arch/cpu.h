/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The head of struct cpu that entry.S uses. Offsets are asserted in cpu.c. The kernel's stack ends where struct
 * cpu begins, so that TPIDR_EL1 is both; below the stack is a page that is not mapped.
 */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#define CPU_FRAME    0
#define CPU_ENTRY    8
#define CPU_VECTORS  16
#define KERNEL_GUARD 4096
#define KERNEL_STACK 16384

/* Values of struct thread.entry: entry.S tests bits. */
#define ENTRY_OWN          0
#define ENTRY_GUEST_USER   1
#define ENTRY_GUEST_KERNEL 2
#define ENTRY_ABOVE        4 /* no guest has that mode on this CPU */

#define ARCH_IOPORTS   0
#define ARCH_ASID_BITS 10

#ifndef __ASSEMBLER__
#include <kernel/types.h>

struct arch_cpu {
	u64 frame;       /* register frame in use: SP_EL1 in user mode */
	u64 entry;       /* ENTRY_*: the mode of the current thread */
	void *vectors;   /* VBAR_EL1, but while a thread is stepped */
	u64 root;        /* TTBR0_EL1 */
	bool fpu_off;    /* CPACR_EL1 traps user mode */
	bool stale;      /* root is to be loaded again when this CPU has the lock: it was changed, or */
	bool root_died;  /* is no more: then another one */
	u8 interface;    /* its bit of a GIC of version 2 */
	u64 mpidr;       /* affinity: its number for firmware, device tree and GIC */
	void *fpu_owner; /* thread whose state is in the registers */
	void *guest;     /* VSpace of the guest that ran last */
	u64 *asid_root;  /* roots whose translations the TLB may hold, by ASID; 0: flush */
} __aligned(16);

/* There are no I/O ports: no caller gets here. */
static inline u32 arch_port_in(u16 port, u64 width) { return ~0U; }
static inline void arch_port_out(u16 port, u64 width, u32 value) {}

/* For loops that wait for another CPU. */
static inline void arch_relax(void) { __asm__ volatile("yield" : : : "memory"); }

/* See kernel/arch.h. Of a comparison and exchange the compiler compares the result once more. */
static inline bool arch_count_first(u32 *count)
{
	u32 word;

	__asm__ goto("1:	ldaxr	%w0, %1\n\tcbnz	%w0, %l[others]\n\tstxr	%w0, %w2, %1\n\tcbnz	%w0, 1b"
	             : "=&r"(word), "+Q"(*count)
	             : "r"(1)
	             : "memory"
	             : others);
	return true;
others:
	return false;
}
static inline bool arch_count_last(u32 *count) { return likely(!__atomic_sub_fetch(count, 1, __ATOMIC_RELEASE)); }

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__("mrs %0, tpidr_el1" : "=r"(c));
	return c;
}
#endif
#endif
