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
	register unsigned long x8 asm("x8") = L4_SYS_INVOKE;
	register unsigned long x0 asm("x0") = ~0UL;
	register unsigned long x1 asm("x1") = cap;
	register unsigned long x2 asm("x2") = op;
	register unsigned long x3 asm("x3") = place;
	register unsigned long x4 asm("x4") = width;
	register unsigned long x5 asm("x5") = byte;

	asm volatile("str %[what], [%[note], %[intent]]\n\t"
	             "svc #0\n\t"
	             "and x3, x3, #0xff\n\t"
	             "orr %[what], %[what], x3\n\t"
	             "str %[what], [%[note], %[done]]"
	             : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), [what] "+&r"(what)
	             : "r"(x8), [note] "r"(note), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
	               [done] "i"(__builtin_offsetof(struct l4_note, done))
	             : "x6", "x7", "x9", "cc", "memory");
	return (u8)x3;
}

/* Of a driver that died: error and first word of its last system call, if it was one of the above. */
static inline u64 l4_noted_error(const struct l4_frame *last) { return last->x0; }

static inline u64 l4_noted_result(const struct l4_frame *last) { return last->x3; }

#endif
