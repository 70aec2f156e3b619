/* SPDX-License-Identifier: BSD-2-Clause */
/* What an ISA provides to libl4: the system call instruction, the counter, a new thread's registers. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <l4/types.h>

/* Registers as listed in abi.yaml. The message goes in and comes out of *msg. */
static inline __attribute__((always_inline)) unsigned long l4_syscall(unsigned long number, unsigned long cap,
                                                                      unsigned long reply_cap, struct l4_msg *msg)
{
	register unsigned long a7 asm("a7") = number;
	register unsigned long a0 asm("a0");
	register unsigned long a1 asm("a1") = cap;
	register unsigned long a2 asm("a2") = msg->tag;
	register unsigned long a3 asm("a3") = msg->words[0];
	register unsigned long a4 asm("a4") = msg->words[1];
	register unsigned long a5 asm("a5") = msg->words[2];
	register unsigned long a6 asm("a6") = msg->words[3];
	register unsigned long t0 asm("t0") = msg->words[4];
	register unsigned long t1 asm("t1") = msg->words[5];
	register unsigned long t2 asm("t2") = reply_cap;

	asm volatile("ecall"
	             : "=r"(a0), "+r"(a1), "+r"(a2), "+r"(a3), "+r"(a4), "+r"(a5), "+r"(a6), "+r"(t0), "+r"(t1)
	             : "r"(a7), "r"(t2)
	             : "memory");
	msg->badge = a1;
	msg->tag = a2;
	msg->words[0] = a3;
	msg->words[1] = a4;
	msg->words[2] = a5;
	msg->words[3] = a6;
	msg->words[4] = t0;
	msg->words[5] = t1;
	return a0;
}

/* The counter whose rate is counter_hz. */
static inline unsigned long l4_counter(void)
{
	unsigned long v;

	asm volatile("rdtime %0" : "=r"(v) : : "memory");
	return v;
}

/* A full barrier between stores and later loads, also against a device. */
static inline void l4_mb(void) { asm volatile("fence iorw, iorw" : : : "memory"); }

/* Code was written here that will run, perhaps at another address. On this hart (Zifencei); L4 has one. */
static inline void l4_code_written(const void *start, unsigned long bytes) { asm volatile("fence.i" : : : "memory"); }

/* Registers with which a thread starts; the rest is zero. */
static inline void l4_frame_init(struct l4_frame *frame, unsigned long ip, unsigned long sp, unsigned long arg0,
                                 unsigned long arg1, unsigned long arg2)
{
	*frame = (struct l4_frame){ .pc = ip, .sp = sp, .a0 = arg0, .a1 = arg1, .a2 = arg2 };
}

#endif
