/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Contract of a serial line for the log: plat/uart/<name>.c provides all of it. Polled, without interrupts; must not
 * print.
 */
#ifndef KERNEL_UART_H
#define KERNEL_UART_H

#include <kernel/types.h>

void uart_init(void);
bool uart_ready(void);   /* can it take a byte now? True if there is no line */
void uart_write(char c); /* whether it is ready or not */

#endif
