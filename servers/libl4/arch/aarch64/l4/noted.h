/* SPDX-License-Identifier: BSD-2-Clause */
/* Accesses to a device that leave a note; what they promise is in l4/noted_access.h. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <l4/types.h>

#define L4_NOTED_LOAD8	    "ldrb"
#define L4_NOTED_LOAD32	    "ldr"
#define L4_NOTED_LOAD_USES  "x9"
#define L4_NOTED_LOAD(load)     \
	"mov x9, #-1\n\t"       \
	"str %w3, [%1]\n\t"     \
	load " w9, [%0]\n\t"    \
	"strb w9, [%4]\n\t"     \
	"str %w3, [%2]"

/* The store moves x9 off x10 by itself. */
#define L4_NOTED_STORE8	    "strb %w4"
#define L4_NOTED_STORE32    "str %w4"
#define L4_NOTED_STORE_USES "x9", "x10"
#define L4_NOTED_STORE(store)   \
	"mov x9, %0\n\t"        \
	"mov x10, x9\n\t"       \
	"str %w3, [%1]\n\t"     \
	store ", [x9], #4\n\t"  \
	"str %w3, [%2]"

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
