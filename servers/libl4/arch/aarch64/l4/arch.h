/* SPDX-License-Identifier: BSD-2-Clause */
/* What an ISA provides to libl4: the system call instruction, the counter, a new thread's registers. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <l4/types.h>

/* Registers as listed in abi.yaml. The message goes in and comes out of *msg. */
static inline __attribute__((always_inline)) unsigned long l4_syscall(unsigned long number, unsigned long cap,
                                                                      unsigned long reply_cap, struct l4_msg *msg)
{
	register unsigned long x8 asm("x8") = number;
	register unsigned long x0 asm("x0");
	register unsigned long x1 asm("x1") = cap;
	register unsigned long x2 asm("x2") = msg->tag;
	register unsigned long x3 asm("x3") = msg->words[0];
	register unsigned long x4 asm("x4") = msg->words[1];
	register unsigned long x5 asm("x5") = msg->words[2];
	register unsigned long x6 asm("x6") = msg->words[3];
	register unsigned long x7 asm("x7") = msg->words[4];
	register unsigned long x9 asm("x9") = msg->words[5];
	register unsigned long x10 asm("x10") = reply_cap;

	asm volatile("svc #0"
	             : "=r"(x0), "+r"(x1), "+r"(x2), "+r"(x3), "+r"(x4), "+r"(x5), "+r"(x6), "+r"(x7), "+r"(x9)
	             : "r"(x8), "r"(x10)
	             : "cc", "memory");
	msg->badge = x1;
	msg->tag = x2;
	msg->words[0] = x3;
	msg->words[1] = x4;
	msg->words[2] = x5;
	msg->words[3] = x6;
	msg->words[4] = x7;
	msg->words[5] = x9;
	return x0;
}

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
