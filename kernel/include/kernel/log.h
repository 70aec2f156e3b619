/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's log: a ring that the console server reads, and the serial line until somebody has taken over the log
 * (CONTROL.LOG_BIND), and again in a panic. The ring (debug/log.c) calls only the serial line; its reader
 * (object/log_reader.c) is signalled at the end of the kernel entry that wrote something.
 */
#ifndef KERNEL_LOG_H
#define KERNEL_LOG_H

#include <kernel/slot.h>

/* Both return how much they took: less when an interrupt waits. */
u64 log_write(const char *text, u64 size);
u64 log_write_guest(const char *text, u64 size);
u64 log_paddr(void);

/* With a reader the serial line is its, until a panic. */
void log_set_reader(bool present);
bool log_begin_panic(void); /* false: another CPU has, or this one before */
bool log_is_panicking(void);

/* object/log_reader.c */
void log_bind(struct slot *notification); /* NULL: nobody */
void log_lost(void);
void log_signal_reader(void);

#endif
