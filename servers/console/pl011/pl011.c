/* SPDX-License-Identifier: GPL-2.0-only */
/* Serial line of the machine: an ARM PrimeCell PL011. Speed is as firmware left it. */
#include "../uart.h"

/* Registers and bits: ARM DDI 0183, sections 3.3.1 to 3.3.14; offsets in words. */
enum { DATA = 0, FLAGS = 6, LINE = 11, CONTROL = 12, MASK = 14, CLEAR = 17 };

#define FLAGS_BUSY    8
#define FLAGS_NO_DATA 0x10
#define FLAGS_FULL    0x20
#define FLAGS_EMPTY   0x80
#define LINE_8N1_FIFO 0x70
#define CONTROL_ON    0xf01 /* enabled, transmit, receive, DTR, RTS */
#define INT_RECEIVED  0x10
#define INT_ROOM      0x20
#define INT_TIMEOUT   0x40 /* something was received, less than the FIFO's threshold */
#define INT_ALL	      0x7ff
#define FIFO	      16 /* of the oldest revision; later ones hold 32 */

static volatile u32 *const regs = (volatile u32 *)L4_SERVER_REGS_VADDR;
static unsigned int room;
static u32 mask;

static void want(bool received, bool room_too)
{
	u32 wanted = (received ? INT_RECEIVED | INT_TIMEOUT : 0) | (room_too ? INT_ROOM : 0);

	if (mask != wanted)
		regs[MASK] = wanted;
	mask = wanted;
}

static void init(void)
{
	regs[MASK] = mask = 0;
	/* A change clears the FIFOs: not while the kernel's last words are in one, and not what was typed. */
	if (regs[LINE] != LINE_8N1_FIFO) {
		while (regs[FLAGS] & FLAGS_BUSY)
			;
		regs[CONTROL] = 0;
		regs[LINE] = LINE_8N1_FIFO;
	}
	regs[CONTROL] = CONTROL_ON;
	/* Those of reception go when the data is read, and would not come again. */
	regs[CLEAR] = INT_ALL & ~(u32)(INT_RECEIVED | INT_TIMEOUT);
	want(true, false);
}

static bool put(u8 byte, const struct l4_note *note)
{
	if (!room) {
		u32 flags = regs[FLAGS];

		if (flags & FLAGS_FULL)
			return false;
		room = flags & FLAGS_EMPTY ? FIFO : 1;
	}
	room--;
	l4_noted_store32(&regs[DATA], byte, note);
	return true;
}

static bool get(u8 *byte, const struct l4_note *note)
{
	if (regs[FLAGS] & FLAGS_NO_DATA)
		return false;
	l4_noted_load32(&regs[DATA], byte, note);
	return true;
}

static void interrupt(void)
{
	/* It is raised again when a full FIFO runs low. */
	if (mask & INT_ROOM)
		regs[CLEAR] = INT_ROOM;
}

const struct uart pl011 = {init, put, get, want, interrupt};
