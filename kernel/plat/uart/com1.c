// SPDX-License-Identifier: GPL-2.0-only
/* Debug console: 16550 at 0x3f8, polled. */
#include <x86.h>

#define COM1 0x3f8

void uart_init(void)
{
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x80);
	outb(COM1 + 0, 1); /* 115200 baud */
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 3);
	outb(COM1 + 2, 7);
	outb(COM1 + 4, 3);
}

bool uart_ready(void) { return inb(COM1 + 5) & 0x20; }

void uart_write(char c) { outb(COM1, c); }
