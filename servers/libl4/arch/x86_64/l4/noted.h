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
	register unsigned long rax asm("rax") = L4_SYS_INVOKE;
	register unsigned long rdi asm("rdi") = cap;
	register unsigned long rsi asm("rsi") = op;
	register unsigned long rdx asm("rdx") = place;
	register unsigned long r10 asm("r10") = width;
	register unsigned long r8 asm("r8") = byte;

	_Static_assert(L4_SYS_INVOKE != L4_ERR_OK, "the number is in the error's register");
	asm volatile("movq %[what], %c[intent](%[note])\n\t"
	             "syscall\n\t"
	             "movzbl %%dl, %%edx\n\t"
	             "orq %%rdx, %[what]\n\t"
	             "movq %[what], %c[done](%[note])"
	             : "+r"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10), "+r"(r8), [what] "+&r"(what)
	             : [note] "r"(note), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
	               [done] "i"(__builtin_offsetof(struct l4_note, done))
	             : "rcx", "r9", "r11", "r12", "r13", "cc", "memory");
	return (u8)rdx;
}

/* Of a driver that died: error and first word of its last system call, if it was one of the above. */
static inline u64 l4_noted_error(const struct l4_frame *last) { return last->ax; }

static inline u64 l4_noted_result(const struct l4_frame *last) { return last->dx; }

#endif
