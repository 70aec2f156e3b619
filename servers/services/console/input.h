/* SPDX-License-Identifier: GPL-2.0-only */
/* Input: bytes typed, on their way to the guest. */
#ifndef CONSOLE_INPUT_H
#define CONSOLE_INPUT_H

#include <l4/types.h>

/* Take from the UART what fits here, and give to the guest what it takes, in at most *left requests. */
void input_receive(unsigned int *left);

/* Whether bytes wait for the guest. */
bool input_waits(void);

/* Make the step of a byte that was taken from the UART; state->note.done says it, too. */
void input_keep(u8 byte);

/* Finish what a predecessor began that gave a request back and died before the step. */
void input_settle(void);

/* Ask the UART for interrupts: for input while it fits here; for room in the line if `room`. */
void input_want_interrupts(bool room, bool anew);

#endif
