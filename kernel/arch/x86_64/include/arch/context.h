/* SPDX-License-Identifier: GPL-2.0-only */
/* What a thread keeps of this CPU, and which register carries what in a system call (abi.yaml). */
#ifndef ARCH_CONTEXT_H
#define ARCH_CONTEXT_H

#include <kernel/types.h>

#define ARCH_FPU_SIZE 1024

/* The CPU aligns its interrupt stack to 16 bytes, so a frame must end aligned (SDM vol. 3, 6.14.2). */
struct arch_thread {
	u64 fs_base;
	struct l4_frame frame;
	u64 gs_base;
	u16 selectors[4]; /* DS, ES, FS, GS, if one of them is not 0 */
	u32 selectors_used;
	u8 fpu[ARCH_FPU_SIZE] __attribute__((aligned(64)));
} __attribute__((aligned(64)));
_Static_assert((offsetof(struct arch_thread, frame) + sizeof(struct l4_frame)) % 16 == 0, "frame end");

#define FRAME_ALIGN        16
#define ARCH_VECTOR_BAD_IP 13 /* general protection, as for a non-canonical jump */

static inline u64 frame_number(struct l4_frame *f) { return f->ax; }
static inline u64 frame_cap(struct l4_frame *f) { return f->di; }
static inline u64 frame_tag(struct l4_frame *f) { return f->si; }
static inline u64 frame_reply(struct l4_frame *f) { return f->r14; }
static inline void frame_set_error(struct l4_frame *f, u64 v) { f->ax = v; }
static inline void frame_set_badge(struct l4_frame *f, u64 v) { f->di = v; }
static inline void frame_set_tag(struct l4_frame *f, u64 v) { f->si = v; }
static inline u64 frame_ip(struct l4_frame *f) { return f->ip; }
static inline u64 frame_sp(struct l4_frame *f) { return f->sp; }

static inline void frame_get_words(struct l4_frame *f, u64 *w)
{
	w[0] = f->dx;
	w[1] = f->r10;
	w[2] = f->r8;
	w[3] = f->r9;
	w[4] = f->r12;
	w[5] = f->r13;
}

static inline void frame_set_words(struct l4_frame *f, const u64 *w)
{
	f->dx = w[0];
	f->r10 = w[1];
	f->r8 = w[2];
	f->r9 = w[3];
	f->r12 = w[4];
	f->r13 = w[5];
}

/* The first n words; the others arrive as 0, so that a message shows no more than its sender says. */
static inline void frame_copy_words(struct l4_frame *d, const struct l4_frame *s, u64 n)
{
	if (likely(n == 0)) {
		d->dx = d->r10 = d->r8 = d->r9 = d->r12 = d->r13 = 0;
		return;
	}
	d->dx = s->dx;
	d->r10 = n > 1 ? s->r10 : 0;
	d->r8 = n > 2 ? s->r8 : 0;
	d->r9 = n > 3 ? s->r9 : 0;
	d->r12 = n > 4 ? s->r12 : 0;
	d->r13 = n > 5 ? s->r13 : 0;
}

/* Execute the system call instruction again: it saved its number in orig_ax. */
static inline void frame_repeat_syscall(struct l4_frame *f)
{
	f->ip -= L4_SYSCALL_BYTES;
	f->ax = f->orig_ax;
}

static inline void frame_start(struct l4_frame *f, u64 ip, u64 sp, u64 arg0, u64 arg1)
{
	f->ip = ip;
	f->sp = sp;
	f->di = arg0;
	f->si = arg1;
	f->flags = 0x202;
}

/* An upcall leaves all registers but the instruction pointer; flags DF and TF as at a signal handler. */
static inline void frame_upcall(struct l4_frame *f, u64 ip)
{
	f->ip = ip;
	f->flags &= ~0x500UL;
}

#endif
