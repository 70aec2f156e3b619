/* SPDX-License-Identifier: BSD-2-Clause */
/* What an ISA provides to libl4: the system call (generated), the counter, barriers, a new thread's registers. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <abi_call.h>
#include <l4/types.h>

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
