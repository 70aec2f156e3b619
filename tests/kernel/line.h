/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An interrupt that a test raises: the serial line's transmitter is always empty, so the line is up while its interrupt
 * is enabled there. Nothing may be printed meanwhile.
 */
#ifndef LINE_H
#define LINE_H

#include "harness.h"

void line_open(void); /* before the first use in a test */
void line_close(void);
void line(int up);

#endif
