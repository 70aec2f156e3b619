/* SPDX-License-Identifier: GPL-2.0-only */
/* Serial line of the machine: a 16550 UART, by I/O ports or, where registers are mapped, by memory. */
#include <l4/invoke.h>

#include "../uart.h"

/* Registers and bits: 16550 data sheet, sections 8.1 to 8.6. */
enum { DATA = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };

#define IER_RECEIVED	 1
#define IER_ROOM	 2
#define IIR_NONE	 1
#define FCR_ENABLE	 1
#define LCR_8N1		 3
#define MCR_DTR_RTS_OUT2 0xb /* OUT2 opens the interrupt line of a PC */
#define LSR_RECEIVED	 1
#define LSR_EMPTY	 0x20
#define FIFO		 16

/* What the root pager told us; on a page that we cannot write, whatever becomes of us. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;
static volatile u8 *const mapped = (volatile u8 *)L4_SERVER_REGS_VADDR;
static unsigned int room;
static u8 ier;

static inline u8 read_reg(unsigned int reg)
{
	unsigned long value = 0;

	if (info->regs_size)
		return mapped[reg];
	l4_ioport_in(L4_SERVER_SLOT_IOPORT, info->ioport_base + reg, 1, &value);
	return (u8)value;
}

static inline void write_reg(unsigned int reg, u8 value)
{
	if (info->regs_size)
		mapped[reg] = value;
	else
		l4_ioport_out(L4_SERVER_SLOT_IOPORT, info->ioport_base + reg, 1, value);
}

static void enable(u8 interrupts)
{
	if (ier != interrupts)
		write_reg(IER, interrupts);
	ier = interrupts;
}

static void init(void)
{
	write_reg(IER, 0);
	write_reg(FCR, FCR_ENABLE); /* keeps what the kernel has put in */
	write_reg(LCR, LCR_8N1);
	write_reg(MCR, MCR_DTR_RTS_OUT2);
	enable(IER_RECEIVED);
}

static bool put(u8 byte, const struct l4_note *note)
{
	if (!room) {
		if (!(read_reg(LSR) & LSR_EMPTY))
			return false;
		room = FIFO;
		enable(ier & ~IER_ROOM); /* else each byte that leaves raises it */
	}
	room--;
	if (info->regs_size)
		l4_noted_store8(&mapped[DATA], byte, note);
	else
		l4_noted_port_out(L4_SERVER_SLOT_IOPORT, (u16)(info->ioport_base + DATA), byte, note);
	return true;
}

static void want(bool received, bool room_too)
{
	enable((u8)((received ? IER_RECEIVED : 0) | (room_too ? IER_ROOM : 0)));
}

static bool get(u8 *byte, const struct l4_note *note)
{
	if (!(read_reg(LSR) & LSR_RECEIVED))
		return false;
	if (info->regs_size)
		l4_noted_load8(&mapped[DATA], byte, note);
	else
		l4_noted_port_in(L4_SERVER_SLOT_IOPORT, (u16)(info->ioport_base + DATA), byte, note);
	return true;
}

static void interrupt(void)
{
	/* Reading takes back "there is room"; "received" goes when the data is read. */
	read_reg(IIR);
}

const struct uart ns16550 = {init, put, get, want, interrupt};
