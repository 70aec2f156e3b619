/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages to the log, panic, and invariants. What is called here calls no other part of the kernel. */
#ifndef KERNEL_DEBUG_H
#define KERNEL_DEBUG_H

#include <stdarg.h>
#include <kernel/types.h>

struct cnode;

/* %s %c %d %u %x %lu %lx %p; a line of the log. */
__printf(1, 2) void printk(const char *fmt, ...);
void vprintk(const char *fmt, va_list args);
__printf(1, 2) __noreturn void panic(const char *fmt, ...);
__noreturn void panic_of_another(void); /* this CPU stands still from now on */

/* dump.c: the state that a panic shows; what is reachable from the root pager's CNode. */
void dump_set_root(struct cnode *c);
void dump_all(void);

/*
 * An invariant. Checked by quoll-debug.elf only, so x has no side effects; what user mode can cause is an error, not
 * this.
 */
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
