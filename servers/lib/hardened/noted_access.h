/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to a device that can be neither repeated nor asked for: reading takes a byte away, writing sends it. The
 * driver may die at any instruction, and its successor has to know whether the access was made.
 *
 * Each is a run of instructions of its own (l4_noted_invoke) that does, in this order: put something into the register
 * of a system call's error that is no success; store what to note->intent; make the access by a system call, which
 * changes that register; store what, with the byte that was read, to note->done. So whoever finds intent ahead of done
 * asks the registers with which the driver died, which the root pager leaves at the top of its successor's stack.
 */
#ifndef L4_NOTED_ACCESS_H
#define L4_NOTED_ACCESS_H

#include <abi_frame.h>
#include <abi_servers.h>
#include <l4/types.h>

/* In memory that outlives the driver. What is about to be done: 0 in the low eight bits; those of done are the byte. */
struct l4_note {
	u64 intent, done;
};

#include <l4/noted.h>

/* Whether an access was made, as a successor asks who finds what in the intent; *byte is what was read. */
static inline bool l4_noted_made(const struct l4_note *note, u64 what, const struct l4_frame *last, u8 *byte)
{
	if ((note->done ^ what) >> 8 == 0) {
		*byte = (u8)note->done;
		return true;
	}
	*byte = (u8)l4_frame_word0(last);
	return l4_frame_error(last) == L4_ERR_OK;
}

/* Registers with which the driver died whose place we take; all zero if there was none. */
static inline const struct l4_frame *l4_predecessor(void)
{
	return (const struct l4_frame *)(L4_SERVER_STACK_TOP - sizeof(struct l4_frame));
}

#endif
