/* SPDX-License-Identifier: BSD-2-Clause */
/* What an ISA provides to libl4: the system call (generated), the counter, barriers, a new thread's registers. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <abi_call.h>
#include <l4/types.h>

/* The counter whose rate is counter_hz. */
static inline unsigned long l4_counter(void)
{
	unsigned long v;

	asm volatile("rdtime %0" : "=r"(v) : : "memory");
	return v;
}

/* A full barrier between stores and later loads, also against a device. */
static inline void l4_mb(void) { asm volatile("fence iorw, iorw" : : : "memory"); }

/*
 * Code was written here that will run, perhaps at another address. On this hart (Zifencei); on the others L4 does the same
 * when it drops translations there, as it does for each Frame that is unmapped.
 */
static inline void l4_code_written(const void *start, unsigned long bytes) { asm volatile("fence.i" : : : "memory"); }

/* Registers with which a thread starts; the rest is zero. */
static inline void l4_frame_init(struct l4_frame *frame, unsigned long ip, unsigned long sp, unsigned long arg0,
                                 unsigned long arg1, unsigned long arg2)
{
	*frame = (struct l4_frame){ .pc = ip, .sp = sp, .a0 = arg0, .a1 = arg1, .a2 = arg2 };
}

#endif
