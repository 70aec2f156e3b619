/* SPDX-License-Identifier: GPL-2.0-only */
/* The registers that a thread keeps while others run. <abi_frame.h> has the roles of registers in a system call. */
#ifndef ARCH_CONTEXT_H
#define ARCH_CONTEXT_H

#include <abi_frame.h>
#include <kernel/types.h>

/* TPIDRRO_EL0 is not here: user mode cannot write it, so it is 0 for everybody. */
struct arch_thread {
	struct l4_frame frame; /* SP_EL1 points to it in user mode, so it is aligned to 16 bytes */
	u64 tls;               /* TPIDR_EL0 */
	u64 fpcr, fpsr;
	void *fpu_cpu; /* struct arch_cpu that loaded the FP registers last */
	u8 fpu[32][16] __attribute__((aligned(16)));
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct l4_frame) % 16 == 0, "frame end");

#define FRAME_ALIGN 16

#define PSTATE_SS   BIT(21)
#define PSTATE_USER 0xf1200000UL /* what user mode may have: N Z C V DIT SS */

/* Execute the system call instruction again: number and arguments are as they were. */
static inline void frame_repeat_syscall(struct l4_frame *f) { f->pc -= L4_SYSCALL_BYTES; }

/* Mode above, which this CPU has not. */
static inline bool frame_reaches_user(const struct l4_frame *f) { return false; }

static inline void frame_start(struct l4_frame *f, u64 ip, u64 sp, u64 arg0, u64 arg1)
{
	f->pc = ip;
	f->sp = sp;
	f->x0 = arg0;
	f->x1 = arg1;
	f->pstate = 0;
}

/* An upcall leaves all registers but the instruction pointer; the handler is not stepped through. */
static inline void frame_upcall(struct l4_frame *f, u64 ip)
{
	f->pc = ip;
	f->pstate &= ~PSTATE_SS;
}

#endif
