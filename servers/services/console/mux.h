/* SPDX-License-Identifier: GPL-2.0-only */
/* Output: the log and the guest's channel on one line. */
#ifndef CONSOLE_MUX_H
#define CONSOLE_MUX_H

#include <stdbool.h>

/*
 * Write until all is out, the line is full (then an interrupt tells of room), or *left, which counts down with each step,
 * is 0. True: all is out.
 */
bool mux_transmit(unsigned int *left);

/* Make the step of a byte that has gone into the UART. */
void mux_byte_out(void);

#endif
