/* SPDX-License-Identifier: BSD-2-Clause */
/* An access to a device that leaves a note; hardened/noted_access.h says what it promises. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <abi_call.h>
#include <l4/types.h>

/* IoPort IN and OUT, Frame LOAD and STORE have their arguments in the same places. Returns the byte that was read. */
static inline __attribute__((always_inline)) u8 l4_noted_invoke(unsigned long cap, unsigned long op,
                                                                unsigned long place, unsigned long width, u8 byte,
                                                                struct l4_note *note, u64 what)
{
	register unsigned long number asm(L4_REG_NUMBER) = L4_SYS_INVOKE; /* and the error */
	register unsigned long object asm(L4_REG_CAP) = cap;
	register unsigned long tag asm(L4_REG_TAG) = op;
	register unsigned long word0 asm(L4_REG_WORD0) = place;
	register unsigned long word1 asm(L4_REG_WORD1) = width;
	register unsigned long word2 asm(L4_REG_WORD2) = byte;

	_Static_assert(L4_SYS_INVOKE != L4_ERR_OK, "the number is in the error's register");
	asm volatile("movq %[what], %c[intent](%[note])\n\t" L4_SYSCALL_INSTRUCTION "\n\t"
	             "movzbl %b[word0], %k[word0]\n\t"
	             "orq %[word0], %[what]\n\t"
	             "movq %[what], %c[done](%[note])"
	             : "+r"(number), "+r"(object), "+r"(tag), [word0] "+r"(word0), "+r"(word1),
	               "+r"(word2), [what] "+&r"(what)
	             : [note] "r"(note), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
	               [done] "i"(__builtin_offsetof(struct l4_note, done))
	             : L4_REG_WORD3, L4_REG_WORD4, L4_REG_WORD5, L4_SYSCALL_CLOBBERS);
	return (u8)word0;
}

#endif
