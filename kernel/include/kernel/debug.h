/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's log and its end. */
#ifndef KERNEL_DEBUG_H
#define KERNEL_DEBUG_H

#include <kernel/types.h>

struct slot;

/* %s %c %d %u %x %lu %lx %p; a line of the log. */
__attribute__((format(printf, 1, 2))) void printk(const char *fmt, ...);
/* Both return how much they took: less when an interrupt waits. */
u64 log_write(const char *text, u64 size);
u64 log_write_guest(const char *text, u64 size);
void log_bind(struct slot *notification); /* NULL: nobody */
u64 log_paddr(void);

__attribute__((format(printf, 1, 2), noreturn)) void panic(const char *fmt, ...);

/* An invariant. Checked by quoll-debug.elf only, so x has no side effects; what user mode can cause is an error, not this. */
#ifdef KERNEL_DEBUG
#define assert(x)                                                        \
	do {                                                             \
		if (unlikely(!(x)))                                      \
			panic("%s:%d: %s", __FILE_NAME__, __LINE__, #x); \
	} while (0)
#else
#define assert(x)                  \
	do {                       \
		if (0)             \
			(void)(x); \
	} while (0)
#endif

#endif
