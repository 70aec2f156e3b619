/* SPDX-License-Identifier: GPL-2.0-only */
/* What a thread keeps of this CPU, and which register carries what in a system call (abi.yaml). */
#ifndef ARCH_CONTEXT_H
#define ARCH_CONTEXT_H

#include <kernel/types.h>

/* TPIDRRO_EL0 is not here: user mode cannot write it, so it is 0 for everybody. */
struct arch_thread {
	struct l4_frame frame; /* SP_EL1 points to it in user mode, so it is aligned to 16 bytes */
	u64 tls;               /* TPIDR_EL0 */
	u64 fpcr, fpsr;
	u8 fpu[32][16] __attribute__((aligned(16)));
} __attribute__((aligned(64)));
_Static_assert(sizeof(struct l4_frame) % 16 == 0, "frame end");

#define FRAME_ALIGN        16
#define ARCH_VECTOR_BAD_IP 0x20 /* instruction abort; no address needs a check before it is jumped to */

#define PSTATE_SS   BIT(21)
#define PSTATE_USER 0xf1200000UL /* what user mode may have: N Z C V DIT SS */

static inline u64 frame_number(struct l4_frame *f) { return f->x8; }
static inline u64 frame_cap(struct l4_frame *f) { return f->x1; }
static inline u64 frame_tag(struct l4_frame *f) { return f->x2; }
static inline u64 frame_reply(struct l4_frame *f) { return f->x10; }
static inline void frame_set_error(struct l4_frame *f, u64 v) { f->x0 = v; }
static inline void frame_set_badge(struct l4_frame *f, u64 v) { f->x1 = v; }
static inline void frame_set_tag(struct l4_frame *f, u64 v) { f->x2 = v; }
static inline u64 frame_ip(struct l4_frame *f) { return f->pc; }
static inline u64 frame_sp(struct l4_frame *f) { return f->sp; }

static inline void frame_get_words(struct l4_frame *f, u64 *w)
{
	w[0] = f->x3;
	w[1] = f->x4;
	w[2] = f->x5;
	w[3] = f->x6;
	w[4] = f->x7;
	w[5] = f->x9;
}

static inline void frame_set_words(struct l4_frame *f, const u64 *w)
{
	f->x3 = w[0];
	f->x4 = w[1];
	f->x5 = w[2];
	f->x6 = w[3];
	f->x7 = w[4];
	f->x9 = w[5];
}

/* The first n words; the others arrive as 0, so that a message shows no more than its sender says. */
static inline void frame_copy_words(struct l4_frame *d, const struct l4_frame *s, u64 n)
{
	if (likely(n == 0)) {
		d->x3 = d->x4 = d->x5 = d->x6 = d->x7 = d->x9 = 0;
		return;
	}
	d->x3 = s->x3;
	d->x4 = n > 1 ? s->x4 : 0;
	d->x5 = n > 2 ? s->x5 : 0;
	d->x6 = n > 3 ? s->x6 : 0;
	d->x7 = n > 4 ? s->x7 : 0;
	d->x9 = n > 5 ? s->x9 : 0;
}

/* Execute the system call instruction again: number and arguments are as they were. */
static inline void frame_repeat_syscall(struct l4_frame *f) { f->pc -= L4_SYSCALL_BYTES; }

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
