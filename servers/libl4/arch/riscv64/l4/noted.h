/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to a device that leave a note; what they promise is in l4/noted_access.h. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <l4/types.h>

#define L4_NOTED_LOAD8	    "lbu"
#define L4_NOTED_LOAD32	    "lwu"
#define L4_NOTED_LOAD_USES  "t3"
#define L4_NOTED_LOAD(load)     \
	"li t3, -1\n\t"         \
	"sw %3, 0(%1)\n\t"      \
	load " t3, 0(%0)\n\t"   \
	"sb t3, 0(%4)\n\t"      \
	"sw %3, 0(%2)"

/*
 * t3 is where the store has been made. No store changes a register here, so one that is followed by a jump to nowhere
 * instead of the note is taken for one that was not made.
 */
#define L4_NOTED_STORE8	    "sb %4"
#define L4_NOTED_STORE32    "sw %4"
#define L4_NOTED_STORE_USES "t3"
#define L4_NOTED_STORE(store)   \
	"lla t3, 1f\n\t"        \
	"sw %3, 0(%1)\n\t"      \
	store ", 0(%0)\n"       \
	"1:\tsw %3, 0(%2)"

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
	*byte = (u8)last->t3;
	return last->t3 != ~0UL;
}

/* Whether it had written. */
static inline bool l4_noted_stored(const struct l4_frame *last)
{
	return last->pc == last->t3;
}

#endif
