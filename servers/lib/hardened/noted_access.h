/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Accesses to a device that can be neither repeated nor queried: reading a register takes a byte away, writing sends
 * one. The driver may die at any instruction, and its successor has to know whether the access was made.
 *
 * l4_noted_invoke() makes such an access in a fixed sequence of instructions: load the register of a system call's
 * error with a value that is no success; store `what` to note->intent; make the access by a system call, which sets
 * that register; store `what`, with the byte that was read, to note->done. A successor that finds intent ahead of done
 * decides by the registers with which the driver died. The root pager leaves them at the top of the successor's stack.
 */
#ifndef HARDENED_NOTED_ACCESS_H
#define HARDENED_NOTED_ACCESS_H

#include <abi_frame.h>
#include <abi_servers.h>
#include <l4/types.h>

/*
 * In memory that outlives the driver. intent names the access that is about to be made, with 0 in its low eight bits;
 * done names the last that was made, with the byte in these bits.
 */
struct l4_note {
	u64 intent, done;
};

#include <l4/noted.h>

/* For a successor that finds `what` in intent: whether the access was made. *byte is what it read. */
static inline bool l4_noted_made(const struct l4_note *note, u64 what, const struct l4_frame *last, u8 *byte)
{
	if ((note->done ^ what) >> 8 == 0) {
		*byte = (u8)note->done;
		return true;
	}
	*byte = (u8)l4_frame_word0(last);
	return l4_frame_error(last) == L4_ERR_OK;
}

/* Registers with which this driver died in its last life; all zero in its first. */
static inline const struct l4_frame *l4_predecessor(void)
{
	return (const struct l4_frame *)(L4_SERVER_STACK_TOP - sizeof(struct l4_frame));
}

#endif
