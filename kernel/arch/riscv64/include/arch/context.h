/* SPDX-License-Identifier: GPL-2.0-only */
/* The registers that a thread keeps while others run. <abi_frame.h> has the roles of registers in a system call. */
#ifndef ARCH_CONTEXT_H
#define ARCH_CONTEXT_H

#include <abi_frame.h>
#include <kernel/types.h>

#define ARCH_FPU_SIZE (33 * 8) /* f0 to f31, fcsr */

struct arch_thread {
	struct l4_frame frame;
	u64 fpu[ARCH_FPU_SIZE / 8];
	void *fpu_cpu; /* struct arch_cpu that loaded the FP registers last */
} __attribute__((aligned(16)));

#define FRAME_ALIGN 16

/* Of a frame that is not guest user mode's: FP registers are on, if they are the thread's. */
#define ARCH_STATUS 0x6000UL

/* Execute the system call instruction again: its number is still in a7. */
static inline void frame_repeat_syscall(struct l4_frame *f) { f->pc -= L4_SYSCALL_BYTES; }

/* Mode above, which this CPU has not. */
static inline bool frame_reaches_user(const struct l4_frame *f) { return false; }

static inline void frame_start(struct l4_frame *f, u64 ip, u64 sp, u64 arg0, u64 arg1)
{
	f->pc = ip;
	f->sp = sp;
	f->a0 = arg0;
	f->a1 = arg1;
	f->status = ARCH_STATUS;
}

/* An upcall leaves all registers but the instruction pointer. */
static inline void frame_upcall(struct l4_frame *f, u64 ip) { f->pc = ip; }

#endif
