/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to a device that can be neither repeated nor asked for: reading takes a byte away, writing sends it. The
 * driver may die at any instruction, and its successor has to know whether the access was made.
 *
 * Each is a run of instructions of its own that does, in this order: put something into a register that no access
 * leaves there; store value to *intent; make the access, which changes that register; keep what was read; store value
 * to *done. So whoever finds *intent ahead of *done asks the registers with which the driver died, which the root
 * pager leaves at the top of its successor's stack.
 */
#ifndef L4_NOTED_ACCESS_H
#define L4_NOTED_ACCESS_H

#include <l4/types.h>

struct l4_note {
	u32 *intent, *done;
	u32 value;
};

#include <l4/noted.h>

/* Operands of the ISA's instructions: 0 the register, 1 intent, 2 done, 3 value, 4 where the byte goes or what is stored. */
#define L4_NOTED_LOADER(name, type, load)                                                               \
	static inline void name(const volatile type *from, u8 *to, const struct l4_note *note)         \
	{                                                                                              \
		asm volatile(L4_NOTED_LOAD(load)                                                       \
			     :                                                                         \
			     : "r"(from), "r"(note->intent), "r"(note->done), "r"(note->value), "r"(to) \
			     : L4_NOTED_LOAD_USES, "memory");                                          \
	}
L4_NOTED_LOADER(l4_noted_load8, u8, L4_NOTED_LOAD8)
L4_NOTED_LOADER(l4_noted_load32, u32, L4_NOTED_LOAD32)

#define L4_NOTED_STORER(name, type, store)                                                              \
	static inline void name(volatile type *to, type value, const struct l4_note *note)             \
	{                                                                                              \
		asm volatile(L4_NOTED_STORE(store)                                                     \
			     :                                                                         \
			     : "r"(to), "r"(note->intent), "r"(note->done), "r"(note->value), "r"(value) \
			     : L4_NOTED_STORE_USES, "memory");                                         \
	}
L4_NOTED_STORER(l4_noted_store8, u8, L4_NOTED_STORE8)
L4_NOTED_STORER(l4_noted_store32, u32, L4_NOTED_STORE32)

/* Registers with which the driver died whose place we take; all zero if there was none. */
static inline const struct l4_frame *l4_predecessor(void)
{
	return (const struct l4_frame *)(L4_SERVER_STACK_TOP - sizeof(struct l4_frame));
}

#endif
