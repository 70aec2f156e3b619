/* SPDX-License-Identifier: GPL-2.0-only */
/* Output: the log and the guest's channel on one line. */
#ifndef CONSOLE_MUX_H
#define CONSOLE_MUX_H

#include <stdbool.h>

/* Write until all is out, or the line is full: then an interrupt tells of room. True: all is out. */
bool mux_transmit(void);

/* Make the step of a byte that has gone into the UART. */
void mux_byte_out(void);

#endif
