/* SPDX-License-Identifier: GPL-2.0-only */
/* What the console asks of a driver of a serial line. */
#ifndef UART_H
#define UART_H

#include <l4/noted_access.h>

struct uart {
	void (*init)(void);

	/* Hand a byte over and note it. False when the line takes no more. */
	bool (*put)(u8 byte, const struct l4_note *note);

	/* Take the next byte received and note it. False if there is none. */
	bool (*get)(u8 *byte, const struct l4_note *note);

	/* Which interrupts are to come: as long as there is something to get, when the line takes more. */
	void (*want)(bool received, bool room);

	/* Let the device forget the interrupt that has been delivered, before its ACK. */
	void (*interrupt)(void);
};

extern const struct uart ns16550, pl011;

#endif
