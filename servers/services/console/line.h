/* SPDX-License-Identifier: GPL-2.0-only */
/* The driver of the machine's serial line: looked up in read-only memory each time, so no stray store can change it. */
#ifndef CONSOLE_LINE_H
#define CONSOLE_LINE_H

#include <abi_servers.h>
#include <class/serial.h>

static const struct uart *const line_drivers[] = { [L4_UART_NS16550] = &ns16550, [L4_UART_PL011] = &pl011 };

/* For l4_main(): whether there is a driver. */
static inline bool line_has_driver(void) { return info->uart < sizeof(line_drivers) / sizeof(line_drivers[0]); }

static inline const struct uart *uart(void) { return line_drivers[info->uart]; }

#endif
