/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the gate (gate.S) decides on. Written by L4 only: the root of a guest maps it read-only. There is one: with
 * several CPUs there is no mode above, and nothing decides on it but that entry is not ENTRY_ABOVE.
 */
#ifndef X86_GATE_H
#define X86_GATE_H

#define GATE_ENTRY         0
#define GATE_ROOT_K        8
#define GATE_ROOT_G        16
#define GATE_SYSCALL_FRAME 24
#define GATE_FAULT_FRAME   64
#define GATE_EXIT_FRAME    104

#define GATE_STUB_SIZE 16

#ifndef __ASSEMBLER__
#include <kernel/types.h>

struct cpu;

struct iret_frame {
	u64 ip, cs, flags, sp, ss;
};

struct gate {
	u64 entry;                       /* ENTRY_*: mode of the current thread */
	u64 root_k;                      /* CR3 of L4: of the thread that ran last in a root that has all of L4 */
	u64 root_g;                      /* ENTRY_ABOVE: CR3 of the current thread */
	struct iret_frame syscall_frame; /* ENTRY_ABOVE: where a system call of ring 3 goes */
	struct iret_frame fault_frame;   /* and a page fault of ring 3; ip 0: to L4 */
	struct iret_frame exit_frame;    /* what L4 returns to */
};

extern struct gate gate;
extern u64 gate_page[L4_PAGE_SIZE / 8];       /* mapped at GATE_VADDR */
extern char gate_text[], gate_text_end[];     /* in a guest's root it can be executed, not written */
extern char gate_ro[], gate_ro_end[];         /* there it can be read only */
extern char gate_stacks[], gate_stacks_end[]; /* there it can be written */

void gate_init(struct cpu *cpu);
void gate_set_syscall(u64 entry); /* of this CPU */
bool gate_holds(void);            /* whether ring 1 stays ring 1; when the CPU can run it at all */
bool gate_fpu_traps(void *area);  /* without the FPU: does XSAVE trap? area: 576 bytes, aligned to 64 */

#endif
#endif
