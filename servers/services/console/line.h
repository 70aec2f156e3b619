/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver of the machine's serial line: looked up in read-only memory each time, so no stray store can change it. */
#ifndef CONSOLE_LINE_H
#define CONSOLE_LINE_H

#include <abi_servers.h>
#include <class/serial.h>

static inline const struct uart *uart(void) { return uart_registers()->type == L4_REGISTERS_PL011 ? &pl011 : &ns16550; }

/* For l4_main(): whether it drives the line that the machine has. */
static inline bool line_has_driver(void)
{
	return uart_registers()->type == L4_REGISTERS_PL011 || uart_registers()->type == L4_REGISTERS_NS16550;
}

#endif
