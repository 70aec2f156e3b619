/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the console asks of a driver of a serial line. No registers are mapped: a store that went astray would send
 * bytes, or take some, or switch the line off. Each access is a system call.
 */
#ifndef UART_H
#define UART_H

#include <l4/invoke.h>
#include <l4/lib.h>
#include <l4/noted_access.h>

struct uart {
	/* Of the register, at offset 0, by which bytes go out and come in. */
	unsigned int data_width;

	void (*init)(void);

	/* Whether the line takes one more byte, which then comes; whether there is one to get. */
	bool (*room)(void);
	bool (*received)(void);

	/*
	 * Which interrupts are to come: as long as there is something to get, when the line takes more. anew: whatever
	 * we remember of the device.
	 */
	void (*want)(bool received, bool room, bool anew);

	/* Let the device forget the interrupt that has been delivered, before its ACK. */
	void (*interrupt)(void);
};

extern const struct uart ns16550, pl011;

/* What the root pager told us; on a page that we cannot write, whatever becomes of us. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

static inline u32 uart_in(unsigned long offset, unsigned long width)
{
	unsigned long value = 0;

	if (info->ioport_base)
		l4_ioport_in(L4_SERVER_SLOT_REGS, info->ioport_base + offset, width, &value);
	else
		l4_frame_load(L4_SERVER_SLOT_REGS, offset, width, &value);
	return (u32)value;
}

static inline void uart_out(unsigned long offset, unsigned long width, u32 value)
{
	if (info->ioport_base)
		l4_ioport_out(L4_SERVER_SLOT_REGS, info->ioport_base + offset, width, value);
	else
		l4_frame_store(L4_SERVER_SLOT_REGS, offset, width, value);
}

/* A variable of a driver's, which dies rather than go on with one that was changed behind its back. */
struct kept {
	u32 value, inverse;
};

static inline u32 kept(const struct kept *from)
{
	u32 value = l4_read_once(from->value);

	if (value != ~l4_read_once(from->inverse))
		l4_die("a variable was changed");
	return value;
}

static inline void keep(struct kept *to, u32 value)
{
	l4_write_once(to->value, value);
	l4_write_once(to->inverse, ~value);
}

#endif
