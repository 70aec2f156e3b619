/* SPDX-License-Identifier: GPL-2.0-only */
/* What the console asks of a driver of a serial line. */
#ifndef UART_H
#define UART_H

#include <l4/types.h>

void uart_init(const struct l4_server_info *info);

/* False when the line takes no more; uart_wait_room() then asks for an interrupt when it does. */
bool uart_put(u8 byte);
void uart_wait_room(void);

/* Next byte received, -1 if there is none. */
int uart_get(void);

/* Let the device forget the interrupt that has been delivered. */
void uart_interrupt(void);

#endif
