/* SPDX-License-Identifier: GPL-2.0-only */
/* The registers that a thread keeps while others run. <abi_frame.h> has the roles of registers in a system call. */
#ifndef ARCH_CONTEXT_H
#define ARCH_CONTEXT_H

#include <abi_frame.h>
#include <kernel/types.h>

#define ARCH_FPU_SIZE   1024
#define ARCH_GATE_WORDS 8

/* The CPU aligns its interrupt stack to 16 bytes, so a frame must end aligned (SDM vol. 3, 6.14.2). */
struct arch_thread {
	u64 fs_base;
	struct l4_frame frame;
	u64 gs_base;
	void *fpu_cpu;    /* with several CPUs: the one whose registers had its FPU state last */
	u16 selectors[4]; /* DS, ES, FS, GS, if one of them is not 0 */
	u32 selectors_used;
	u64 gate[ARCH_GATE_WORDS]; /* mode above: its words of the gate's page, while another thread has the page */
	u8 fpu[ARCH_FPU_SIZE] __attribute__((aligned(64)));
} __attribute__((aligned(64)));
_Static_assert((offsetof(struct arch_thread, frame) + sizeof(struct l4_frame)) % 16 == 0, "frame end");

#define FRAME_ALIGN 16

/* Execute the system call instruction again: it saved its number in orig_ax. */
static inline void frame_repeat_syscall(struct l4_frame *f)
{
	f->ip -= L4_SYSCALL_BYTES;
	f->ax = f->orig_ax;
}

/* Mode above: may the guest kernel access user mode's memory? The frame is the thread's own. */
static inline bool frame_reaches_user(const struct l4_frame *f) { return f->flags & 0x40000; }

static inline void frame_start(struct l4_frame *f, u64 ip, u64 sp, u64 arg0, u64 arg1)
{
	f->ip = ip;
	f->sp = sp;
	f->di = arg0;
	f->si = arg1;
	f->flags = 0x202;
}

/*
 * An upcall leaves all registers but the instruction pointer; flags DF and TF as at a signal handler, and AC, by which a
 * guest kernel of mode above reaches user mode's memory.
 */
static inline void frame_upcall(struct l4_frame *f, u64 ip)
{
	f->ip = ip;
	f->flags &= ~0x40500UL;
}

#endif
