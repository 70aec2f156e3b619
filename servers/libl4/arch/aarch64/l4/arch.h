/* SPDX-License-Identifier: BSD-2-Clause */
/* What an ISA provides to libl4: the system call (generated), the counter, barriers, a new thread's registers. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <abi_call.h>
#include <l4/types.h>

/* The counter whose rate is counter_hz. */
static inline unsigned long l4_counter(void)
{
	unsigned long value;

	asm volatile("isb\n\tmrs %0, cntvct_el0" : "=r"(value) : : "memory");
	return value;
}

/* A full barrier between stores and later loads, also against a device. */
static inline void l4_mb(void) { asm volatile("dmb sy" : : : "memory"); }

/* Instructions were written at `at`: whoever executes them on this CPU sees them. */
static inline void l4_code_written(const void *at, unsigned long bytes)
{
	unsigned long type, data, code, end = (unsigned long)at + bytes;

	asm("mrs %0, ctr_el0" : "=r"(type));
	data = 4UL << (type >> 16 & 15);
	code = 4UL << (type & 15);
	for (unsigned long p = (unsigned long)at & -data; p < end; p += data)
		asm volatile("dc cvau, %0" : : "r"(p) : "memory");
	asm volatile("dsb ish" : : : "memory");
	for (unsigned long p = (unsigned long)at & -code; p < end; p += code)
		asm volatile("ic ivau, %0" : : "r"(p) : "memory");
	asm volatile("dsb ish\n\tisb" : : : "memory");
}

/* Registers with which a thread starts; the rest is zero. */
static inline void l4_frame_init(struct l4_frame *frame, unsigned long ip, unsigned long sp, unsigned long arg0,
                                 unsigned long arg1, unsigned long arg2)
{
	*frame = (struct l4_frame){ .pc = ip, .sp = sp, .x0 = arg0, .x1 = arg1, .x2 = arg2 };
}

#endif
