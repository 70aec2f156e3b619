/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the console asks of a driver of a serial line. No registers are mapped: a store that went astray would send
 * bytes, or take some, or switch the line off. Each access is a system call.
 */
#ifndef CLASS_SERIAL_H
#define CLASS_SERIAL_H

#include <abi_servers.h>
#include <l4/invoke.h>
#include <base/lib.h>
#include <hardened/guarded.h>
#include <hardened/noted_access.h>

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

/* IoPort IN and OUT, Frame LOAD and STORE: their arguments are alike, and a Frame's first register is at 0. */
static inline unsigned long uart_load(void) { return info->ioport_base ? L4_IOPORT_IN : L4_FRAME_LOAD; }

static inline unsigned long uart_store(void) { return info->ioport_base ? L4_IOPORT_OUT : L4_FRAME_STORE; }

static inline u32 uart_in(unsigned long offset, unsigned long width)
{
	unsigned long result[L4_MSG_REG_WORDS];

	l4_invoke(L4_SERVER_SLOT_REGS, uart_load(), info->ioport_base + offset, width, 0, 0, 0, 0, result);
	return (u32)result[0];
}

static inline void uart_out(unsigned long offset, unsigned long width, u32 value)
{
	l4_invoke(L4_SERVER_SLOT_REGS, uart_store(), info->ioport_base + offset, width, value, 0, 0, 0, NULL);
}

#endif
