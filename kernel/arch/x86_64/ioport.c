// SPDX-License-Identifier: GPL-2.0-only
/* I/O ports by number, for IoPort. */
#include "x86.h"

u32 arch_port_in(u16 port, u64 width) { return width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port); }

void arch_port_out(u16 port, u64 width, u32 value)
{
	if (width == 1)
		outb(port, value);
	else if (width == 2)
		outw(port, value);
	else
		outl(port, value);
}
