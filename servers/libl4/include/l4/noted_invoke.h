/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * l4_noted_invoke() of every ISA. <l4/noted.h> defines before: L4_NOTED_ACCESS, the instructions from the store to
 * note->intent to the store to note->done; L4_NOTED_ERROR, what the error's register holds before the system call;
 * L4_NOTED_NUMBER, the operand that holds the number of the system call.
 */
#ifndef L4_NOTED_INVOKE_H
#define L4_NOTED_INVOKE_H

#include <abi_call.h>
#include <l4/types.h>

/* IoPort IN and OUT, Frame LOAD and STORE have their arguments in the same places. Returns the byte that was read. */
static inline __attribute__((always_inline)) u8 l4_noted_invoke(unsigned long cap, unsigned long op,
                                                                unsigned long place, unsigned long width, u8 byte,
                                                                struct l4_note *note, u64 what)
{
	register unsigned long number asm(L4_REG_NUMBER) __attribute__((unused)) = L4_SYS_INVOKE;
	register unsigned long error asm(L4_REG_ERROR) = L4_NOTED_ERROR;
	register unsigned long object asm(L4_REG_CAP) = cap;
	register unsigned long tag asm(L4_REG_TAG) = op;
	register unsigned long word0 asm(L4_REG_WORD0) = place;
	register unsigned long word1 asm(L4_REG_WORD1) = width;
	register unsigned long word2 asm(L4_REG_WORD2) = byte;

	_Static_assert(L4_NOTED_ERROR != L4_ERR_OK, "a system call that was not made shows no success");
	asm volatile(L4_NOTED_ACCESS
	             : "+r"(error), "+r"(object), "+r"(tag), [word0] "+r"(word0), "+r"(word1),
	               "+r"(word2), [what] "+&r"(what)
	             : L4_NOTED_NUMBER, [note] "r"(note), [intent] "i"(__builtin_offsetof(struct l4_note, intent)),
	               [done] "i"(__builtin_offsetof(struct l4_note, done))
	             : L4_REG_WORD3, L4_REG_WORD4, L4_REG_WORD5, L4_SYSCALL_CLOBBERS);
	return (u8)word0;
}

#endif
