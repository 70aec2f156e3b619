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
#include <base/resource.h>
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

/* On a page that this program cannot write. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

static inline const struct l4_resource *uart_registers(void) { return resource_first(info, L4_RESOURCE_REGISTERS); }

/* First port of an IoPort; a Frame's first register is at 0. */
static inline unsigned long uart_base(void) { return uart_registers()->address; }

/* IoPort IN and OUT, Frame LOAD and STORE: their arguments are alike. */
static inline unsigned long uart_load(void)
{
	return uart_registers()->flags & L4_RESOURCE_FLAG_PORT ? L4_IOPORT_IN : L4_FRAME_LOAD;
}

static inline unsigned long uart_store(void)
{
	return uart_registers()->flags & L4_RESOURCE_FLAG_PORT ? L4_IOPORT_OUT : L4_FRAME_STORE;
}

static inline u32 uart_in(unsigned long offset, unsigned long width)
{
	unsigned long result[L4_MSG_REG_WORDS];

	l4_invoke(uart_registers()->slot, uart_load(), uart_base() + offset, width, 0, 0, 0, 0, result);
	return (u32)result[0];
}

static inline void uart_out(unsigned long offset, unsigned long width, u32 value)
{
	l4_invoke(uart_registers()->slot, uart_store(), uart_base() + offset, width, value, 0, 0, 0, NULL);
}

#endif
