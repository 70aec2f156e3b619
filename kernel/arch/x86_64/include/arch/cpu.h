/* SPDX-License-Identifier: GPL-2.0-only */
/* The head of struct cpu that entry.S and the CPU itself use. Offsets are asserted in cpu.c. */
#ifndef ARCH_CPU_H
#define ARCH_CPU_H

#define CPU_SELF	0
#define CPU_SCRATCH	8
#define CPU_STACK	16
#define CPU_ENTRY	24
#define CPU_TSS		32
#define CPU_FRAME_END	(CPU_TSS + 4)	/* rsp0 of the TSS */

#define ARCH_IOPORTS	65536

#ifndef __ASSEMBLER__
#include <kernel/types.h>

/* SDM vol. 3, 8.7: 64-bit TSS. rsp0 points to the end of the register frame in use, so the CPU pushes
 * straight into it. */
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
	u64 entry;		/* where SYSCALL goes: depends on the mode of the current thread */
	struct tss tss;
	u64 root;		/* CR3 */
	bool fpu_off;		/* CR0.TS is set */
	void *fpu_owner;	/* thread whose state is in the registers */
	u64 gdt[9];
} __attribute__((aligned(16)));

static inline struct cpu *this_cpu(void)
{
	struct cpu *c;

	__asm__("mov %%gs:0, %0" : "=r"(c));
	return c;
}
#endif
#endif
