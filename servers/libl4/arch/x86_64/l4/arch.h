/* SPDX-License-Identifier: BSD-2-Clause */
/* What an ISA provides to libl4: the system call instruction, the counter, a new thread's registers. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <l4/types.h>

/* Registers as listed in abi.yaml. The message goes in and comes out of *msg. */
static inline __attribute__((always_inline)) unsigned long l4_syscall(unsigned long number, unsigned long cap,
                                                                      unsigned long reply_cap, struct l4_msg *msg)
{
	register unsigned long rax asm("rax") = number;
	register unsigned long rdi asm("rdi") = cap;
	register unsigned long rsi asm("rsi") = msg->tag;
	register unsigned long rdx asm("rdx") = msg->words[0];
	register unsigned long r10 asm("r10") = msg->words[1];
	register unsigned long r8 asm("r8") = msg->words[2];
	register unsigned long r9 asm("r9") = msg->words[3];
	register unsigned long r12 asm("r12") = msg->words[4];
	register unsigned long r13 asm("r13") = msg->words[5];
	register unsigned long r14 asm("r14") = reply_cap;

	asm volatile("syscall"
	             : "+r"(rax), "+r"(rdi), "+r"(rsi), "+r"(rdx), "+r"(r10), "+r"(r8), "+r"(r9), "+r"(r12), "+r"(r13),
	               "+r"(r14)
	             :
	             : "rcx", "r11", "cc", "memory");
	msg->badge = rdi;
	msg->tag = rsi;
	msg->words[0] = rdx;
	msg->words[1] = r10;
	msg->words[2] = r8;
	msg->words[3] = r9;
	msg->words[4] = r12;
	msg->words[5] = r13;
	return rax;
}

/* The counter whose rate is counter_hz. */
static inline unsigned long l4_counter(void)
{
	unsigned int low, high;

	asm volatile("rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (unsigned long)high << 32 | low;
}

/* A full barrier: every access before it, to memory or to a device, comes before every one after it. */
static inline void l4_mb(void) { asm volatile("lock orl $0, -4(%%rsp)" : : : "memory", "cc"); }

/* Code was written here that will run, perhaps at another address. Caches for instructions see stores (SDM vol. 3,
 * 12.6). */
static inline void l4_code_written(const void *start, unsigned long bytes) {}

/* Registers with which a thread starts; the rest is zero. */
static inline void l4_frame_init(struct l4_frame *frame, unsigned long ip, unsigned long sp, unsigned long arg0,
                                 unsigned long arg1, unsigned long arg2)
{
	*frame = (struct l4_frame){ .ip = ip, .sp = sp, .di = arg0, .si = arg1, .dx = arg2, .flags = 0x202 };
}

#endif
