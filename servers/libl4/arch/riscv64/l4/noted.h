/* SPDX-License-Identifier: BSD-2-Clause */
/* An access to a device that leaves a note; what it promises is in l4/noted_access.h. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <l4/types.h>

/* IoPort IN and OUT, Frame LOAD and STORE: their arguments are in the same places. Returns the byte that was read. */
static inline __attribute__((always_inline)) u8 l4_noted_invoke(unsigned long cap, unsigned long op,
                                                                unsigned long place, unsigned long width, u8 byte,
                                                                struct l4_note *note, u64 what)
{
	register unsigned long a7 asm("a7") = L4_SYS_INVOKE;
	register unsigned long a0 asm("a0") = ~0UL;
	register unsigned long a1 asm("a1") = cap;
	register unsigned long a2 asm("a2") = op;
	register unsigned long a3 asm("a3") = place;
	register unsigned long a4 asm("a4") = width;
	register unsigned long a5 asm("a5") = byte;

	asm volatile("sd %[what], %c[intent](%[note])\n\t"
	             "ecall\n\t"
	             "andi a3, a3, 0xff\n\t"
	             "or %[what], %[what], a3\n\t"
	             "sd %[what], %c[done](%[note])"
	             : "+r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5), [what] "+&r"(what)
	             : "r"(a7), [note] "r"(note), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
	               [done] "i"(__builtin_offsetof(struct l4_note, done))
	             : "a6", "t0", "t1", "memory");
	return (u8)a3;
}

/* Of a driver that died: error and first word of its last system call, if it was one of the above. */
static inline u64 l4_noted_error(const struct l4_frame *last) { return last->a0; }

static inline u64 l4_noted_result(const struct l4_frame *last) { return last->a3; }

#endif
