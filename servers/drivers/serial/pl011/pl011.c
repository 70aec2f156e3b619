/* SPDX-License-Identifier: GPL-2.0-only */
/* An ARM PrimeCell PL011. Its speed stays as firmware left it. */
#include <class/serial.h>

/* Registers and bits: ARM DDI 0183, sections 3.3.1 to 3.3.14; offsets in words. */
enum { FLAGS = 6, LINE = 11, CONTROL = 12, MASK = 14, CLEAR = 17 };

#define FLAGS_BUSY    8
#define FLAGS_NO_DATA 0x10
#define FLAGS_FULL    0x20
#define FLAGS_EMPTY   0x80
#define LINE_8N1_FIFO 0x70
#define CONTROL_ON    0xf01 /* enabled, transmit, receive, DTR, RTS */
#define INT_RECEIVED  0x10
#define INT_ROOM      0x20
#define INT_TIMEOUT   0x40 /* data was received, less than the FIFO's threshold */
#define INT_ALL       0x7ff
#define FIFO          16 /* depth in the oldest revision; 32 in later ones */

static struct guarded room = { 0, ~0U }, mask = { 0, ~0U };

static inline u32 read_reg(unsigned int reg) { return uart_in(reg * sizeof(u32), sizeof(u32)); }

static inline void write_reg(unsigned int reg, u32 value) { uart_out(reg * sizeof(u32), sizeof(u32), value); }

static void want(bool received, bool room_too, bool anew)
{
	u32 wanted = (received ? INT_RECEIVED | INT_TIMEOUT : 0) | (room_too ? INT_ROOM : 0);

	if (guarded_get(&mask) == wanted && !anew)
		return;
	write_reg(MASK, wanted);
	guarded_set(&mask, wanted);
}

static void init(void)
{
	write_reg(MASK, 0);
	/*
	 * A change of the line's format clears the FIFOs. So make none that is not needed, which would lose what was
	 * typed, and wait until the kernel's last bytes are sent.
	 */
	if (read_reg(LINE) != LINE_8N1_FIFO) {
		while (read_reg(FLAGS) & FLAGS_BUSY)
			;
		write_reg(CONTROL, 0);
		write_reg(LINE, LINE_8N1_FIFO);
	}
	write_reg(CONTROL, CONTROL_ON);
	/* Not those of reception: they go when the data is read, and once cleared would not come again. */
	write_reg(CLEAR, INT_ALL & ~(u32)(INT_RECEIVED | INT_TIMEOUT));
	want(true, false, true);
}

static bool has_room(void)
{
	u32 left = guarded_get(&room);

	if (!left) {
		u32 first = read_reg(FLAGS), second = read_reg(FLAGS); /* a wrong value would lose bytes */

		if ((first | second) & FLAGS_FULL)
			return false;
		left = first & second & FLAGS_EMPTY ? FIFO : 1;
	}
	guarded_set(&room, left - 1);
	return true;
}

static bool received(void) { return !(read_reg(FLAGS) & FLAGS_NO_DATA) && !(read_reg(FLAGS) & FLAGS_NO_DATA); }

static void interrupt(void)
{
	/* Clear the interrupt for room. It comes again when a full FIFO runs low. */
	if (guarded_get(&mask) & INT_ROOM)
		write_reg(CLEAR, INT_ROOM);
}

const struct uart pl011 = { sizeof(u32), init, has_room, received, want, interrupt };
