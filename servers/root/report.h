/* SPDX-License-Identifier: GPL-2.0-only */
/* What the root pager says and how it fails. Nothing here calls another part of the root pager. */
#ifndef ROOT_REPORT_H
#define ROOT_REPORT_H

#include <abi_boot.h>
#include <l4/types.h>

/* What the kernel told at boot. */
extern const struct l4_boot_info *boot_info;

/*
 * Before anything else. on_fail ends fail(): whoever switches the machine off first drains the log through a server,
 * which is above this file.
 */
void report_init(const struct l4_boot_info *info, void (*on_fail)(void));

/* The kernel's log is mapped: from now on a line starts on a fresh line, whoever wrote last. */
void report_log(const struct l4_log_header *log);

/* Write a line "root: ..." to the log. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* The line that say() wrote last. */
const char *report_last(void);

/* The system cannot go on: write "root: error: ..." and switch the machine off. */
void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* fail() if a system call returned an error. */
void check(unsigned long error, const char *what);

/* Nanoseconds that correspond to a value of the CPU's counter. */
u64 counter_nanoseconds(u64 counter);

/* Wait a moment for the machine to go off; write a complaint and die if it does not. */
void halt(const char *complaint) __attribute__((noreturn));

#endif
