/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of the machine: the log goes out, the kernel gets its serial line back, then the machine goes off. */
#ifndef ROOT_HANDOVER_H
#define ROOT_HANDOVER_H

/* Exit status of the machine. */
#define STATUS_ERROR 1
#define STATUS_PANIC 2

void handover_init(void);

void power_off(unsigned long status) __attribute__((noreturn));
void power_off_on_error(void);
void machine_restart(void) __attribute__((noreturn));

#endif
