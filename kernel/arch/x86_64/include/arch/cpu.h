/* SPDX-License-Identifier: GPL-2.0-only */
/* The head of struct cpu that entry.S and the CPU itself use. Offsets are asserted in cpu.c. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#define CPU_SELF        0
#define CPU_SCRATCH     8
#define CPU_STACK       16
#define CPU_FRAME_END   24
#define CPU_GUEST_ENTRY 32
#define CPU_ENTRY       40

/* Values of struct thread.entry: the flags of a byte's comparison with ENTRY_GUEST_KERNEL tell them apart (gate.S). */
#define ENTRY_OWN          0    /* CF */
#define ENTRY_ABOVE        0x10 /* SF */
#define ENTRY_GUEST_KERNEL 0x90 /* ZF */
#define ENTRY_GUEST_USER   0x91 /* none */

#define ARCH_IOPORTS 65536

#ifndef __ASSEMBLER__
#include <kernel/types.h>

struct arch_cpu {
	void *self;
	u64 scratch;
	u64 stack;
	u64 frame_end;   /* of the register frame in use */
	u64 guest_entry; /* the last vcpu_page.user_entry that a system call went to: a canonical address */
	u64 entry;       /* ENTRY_*: the mode of the current thread */
	u64 root;        /* CR3, but for mode above: of L4 then */
	u32 apic_id;
	bool stale;       /* translations are flushed when this CPU gets the lock */
	bool fpu_off;     /* CR0.TS is set */
	bool paused;      /* it takes no messages of devices: see irqchip_msi_pause() */
	void *fpu_owner;  /* thread whose state is in the registers */
	void *guest;      /* VSpace of the guest that ran last */
	u64 above;        /* the CPU has the stacks of mode above (gate.c) */
	void *gate_owner; /* thread whose words are in the gate's page (gate.c) */
} __aligned(16);

u32 arch_port_in(u16 port, u64 width);
void arch_port_out(u16 port, u64 width, u32 value);

/* For loops that wait for another CPU. */
static inline void arch_relax(void) { __asm__ volatile("pause" : : : "memory"); }

/* See kernel/arch.h. */
static inline bool arch_count_first(u32 *count)
{
	u32 none = 0;

	return likely(__atomic_compare_exchange_n(count, &none, 1, false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED));
}
static inline bool arch_count_last(u32 *count) { return likely(!__atomic_sub_fetch(count, 1, __ATOMIC_RELEASE)); }

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__("mov %%gs:0, %0" : "=r"(c));
	return c;
}
#endif
#endif
