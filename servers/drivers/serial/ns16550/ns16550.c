/* SPDX-License-Identifier: GPL-2.0-only */
/* A 16550 UART. */
#include <class/serial.h>

/* Registers and bits: 16550 data sheet, sections 8.1 to 8.6. */
enum { IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5 };

#define IER_RECEIVED     1
#define IER_ROOM         2
#define IIR_NONE         1
#define FCR_ENABLE       1
#define LCR_8N1          3
#define MCR_DTR_RTS_OUT2 0xb /* a PC's interrupt line is connected through OUT2 */
#define LSR_RECEIVED     1
#define LSR_EMPTY        0x20
#define FIFO             16

static struct guarded room = { 0, ~0U }, ier = { 0, ~0U };

static inline u8 read_reg(unsigned int reg) { return (u8)uart_in(reg, 1); }

static inline void write_reg(unsigned int reg, u8 value) { uart_out(reg, 1, value); }

/* Whether a status bit is set, read twice: to go on by a wrong 1 would lose a byte, a wrong 0 only waits. */
static bool status(u8 bit) { return (read_reg(LSR) & bit) && (read_reg(LSR) & bit); }

static void enable(u8 interrupts, bool anew)
{
	if (guarded_get(&ier) == interrupts && !anew)
		return;
	write_reg(IER, interrupts);
	guarded_set(&ier, interrupts);
}

static void init(void)
{
	write_reg(IER, 0);
	write_reg(FCR, FCR_ENABLE); /* without clearing: the kernel's last bytes may be in it */
	write_reg(LCR, LCR_8N1);
	write_reg(MCR, MCR_DTR_RTS_OUT2);
	enable(IER_RECEIVED, true);
}

static bool has_room(void)
{
	u32 left = guarded_get(&room);

	if (!left) {
		if (!status(LSR_EMPTY))
			return false;
		left = FIFO;
		enable(guarded_get(&ier) & ~IER_ROOM, false); /* else it interrupts whenever the FIFO runs empty */
	}
	guarded_set(&room, left - 1);
	return true;
}

static bool received(void) { return status(LSR_RECEIVED); }

static void want(bool received, bool room_too, bool anew)
{
	enable((u8)((received ? IER_RECEIVED : 0) | (room_too ? IER_ROOM : 0)), anew);
}

static void interrupt(void)
{
	/* Reading clears the interrupt for room; that for data received goes when the data is read. */
	read_reg(IIR);
}

const struct uart ns16550 = { 1, init, has_room, received, want, interrupt };
