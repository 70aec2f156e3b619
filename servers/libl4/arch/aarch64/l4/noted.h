/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to a device that leave a note; what they promise is in l4/noted_access.h. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <l4/types.h>

#define L4_NOTED_LOAD(name, type, load)                                                                     \
	static inline void name(const volatile type *from, u8 *to, const struct l4_note *note)             \
	{                                                                                                  \
		asm volatile("mov x9, #-1\n\t"                                                             \
			     "str %w3, [%1]\n\t" load " w9, [%0]\n\t"                                      \
			     "strb w9, [%4]\n\t"                                                           \
			     "str %w3, [%2]"                                                               \
			     :                                                                             \
			     : "r"(from), "r"(note->intent), "r"(note->done), "r"(note->value), "r"(to)    \
			     : "x9", "memory");                                                            \
	}
L4_NOTED_LOAD(l4_noted_load8, u8, "ldrb")
L4_NOTED_LOAD(l4_noted_load32, u32, "ldr")

/* The store moves x9 off x10 by itself. */
#define L4_NOTED_STORE(name, type, store)                                                                   \
	static inline void name(volatile type *to, type value, const struct l4_note *note)                 \
	{                                                                                                  \
		asm volatile("mov x9, %0\n\t"                                                              \
			     "mov x10, x9\n\t"                                                             \
			     "str %w3, [%1]\n\t" store " %w4, [x9], #4\n\t"                                \
			     "str %w3, [%2]"                                                               \
			     :                                                                             \
			     : "r"(to), "r"(note->intent), "r"(note->done), "r"(note->value), "r"(value)   \
			     : "x9", "x10", "memory");                                                     \
	}
L4_NOTED_STORE(l4_noted_store8, u8, "strb")
L4_NOTED_STORE(l4_noted_store32, u32, "str")

/* There are no I/O ports, and no capability to one. */
static inline void l4_noted_port_in(unsigned long cap, u16 port, u8 *to, const struct l4_note *note)
{
	__builtin_trap();
}

static inline void l4_noted_port_out(unsigned long cap, u16 port, u8 byte, const struct l4_note *note)
{
	__builtin_trap();
}

/* Of a driver that died with the intent and without the note: whether it had read, and what. */
static inline bool l4_noted_loaded(const struct l4_frame *last, u8 *byte)
{
	*byte = (u8)last->x9;
	return last->x9 != ~0UL;
}

/* Whether it had written. */
static inline bool l4_noted_stored(const struct l4_frame *last)
{
	return last->x9 != last->x10;
}

#endif
