/* SPDX-License-Identifier: GPL-2.0-only */
/* The head of struct cpu that entry.S and the CPU itself use. Offsets are asserted in cpu.c. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#define CPU_SELF      0
#define CPU_SCRATCH   8
#define CPU_STACK     16
#define CPU_ENTRY     24
#define CPU_FRAME_END 32

/* Values of struct thread.entry, in the order that entry.S compares. */
#define ENTRY_OWN          0
#define ENTRY_GUEST_KERNEL 1
#define ENTRY_GUEST_USER   2

#define ARCH_IOPORTS 65536

#ifndef __ASSEMBLER__
#include <kernel/types.h>

/* SDM vol. 3, 8.7: 64-bit TSS. rsp0 is the kernel's stack. */
struct tss {
	u32 reserved0;
	u64 rsp0, rsp1, rsp2;
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, iomap;
} __attribute__((packed));

struct arch_cpu {
	void *self;
	u64 scratch;
	u64 stack;
	u64 entry;     /* ENTRY_*: the mode of the current thread */
	u64 frame_end; /* of the register frame in use */
	struct tss tss;
	u64 root;        /* CR3 */
	bool fpu_off;    /* CR0.TS is set */
	void *fpu_owner; /* thread whose state is in the registers */
	void *guest;     /* VSpace of the guest that ran last */
	u64 gdt[9];
} __aligned(16);

u32 arch_port_in(u16 port, u64 width);
void arch_port_out(u16 port, u64 width, u32 value);

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__("mov %%gs:0, %0" : "=r"(c));
	return c;
}
#endif
#endif
