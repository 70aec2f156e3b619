/* SPDX-License-Identifier: GPL-2.0-only */
/* What a thread keeps of this CPU, and which register carries what in a system call (abi.yaml). */
#ifndef ARCH_CONTEXT_H
#define ARCH_CONTEXT_H

#include <kernel/types.h>

#define ARCH_FPU_SIZE (33 * 8) /* f0 to f31, fcsr */

struct arch_thread {
	struct l4_frame frame;
	u64 fpu[ARCH_FPU_SIZE / 8];
} __attribute__((aligned(16)));

#define FRAME_ALIGN        16
#define ARCH_VECTOR_BAD_IP 1 /* instruction access fault; not used, as the CPU itself finds bad addresses */

/* Of a frame that is not guest user mode's: FP registers are on, if they are the thread's. */
#define ARCH_STATUS 0x6000UL

static inline u64 frame_number(struct l4_frame *f) { return f->a7; }
static inline u64 frame_cap(struct l4_frame *f) { return f->a1; }
static inline u64 frame_tag(struct l4_frame *f) { return f->a2; }
static inline u64 frame_reply(struct l4_frame *f) { return f->t2; }
static inline void frame_set_error(struct l4_frame *f, u64 v) { f->a0 = v; }
static inline void frame_set_badge(struct l4_frame *f, u64 v) { f->a1 = v; }
static inline void frame_set_tag(struct l4_frame *f, u64 v) { f->a2 = v; }
static inline u64 frame_ip(struct l4_frame *f) { return f->pc; }
static inline u64 frame_sp(struct l4_frame *f) { return f->sp; }

static inline void frame_get_words(struct l4_frame *f, u64 *w)
{
	w[0] = f->a3;
	w[1] = f->a4;
	w[2] = f->a5;
	w[3] = f->a6;
	w[4] = f->t0;
	w[5] = f->t1;
}

static inline void frame_set_words(struct l4_frame *f, const u64 *w)
{
	f->a3 = w[0];
	f->a4 = w[1];
	f->a5 = w[2];
	f->a6 = w[3];
	f->t0 = w[4];
	f->t1 = w[5];
}

/* The first n words; the others arrive as 0, so that a message shows no more than its sender says. */
static inline void frame_copy_words(struct l4_frame *d, const struct l4_frame *s, u64 n)
{
	if (likely(n == 0)) {
		d->a3 = d->a4 = d->a5 = d->a6 = d->t0 = d->t1 = 0;
		return;
	}
	d->a3 = s->a3;
	d->a4 = n > 1 ? s->a4 : 0;
	d->a5 = n > 2 ? s->a5 : 0;
	d->a6 = n > 3 ? s->a6 : 0;
	d->t0 = n > 4 ? s->t0 : 0;
	d->t1 = n > 5 ? s->t1 : 0;
}

/* Execute the system call instruction again: its number is still in a7. */
static inline void frame_repeat_syscall(struct l4_frame *f) { f->pc -= L4_SYSCALL_BYTES; }

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
