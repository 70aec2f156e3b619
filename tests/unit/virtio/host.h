/* SPDX-License-Identifier: BSD-2-Clause */
/* What a test of rings on the host has in place of libl4, and how it expects something. */
#ifndef HOST_H
#define HOST_H

#include <stdio.h>
#include <stdlib.h>

#include <base/lib.h>

#define SKIPPED 77 /* exit status: this host cannot run the test */

void l4_printf(const char *format, ...) {}

void l4_die(const char *format, ...)
{
	fprintf(stderr, "l4_die: %s\n", format);
	abort();
}

#define expect(condition)                                                       \
	do {                                                                    \
		if (!(condition)) {                                             \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition); \
			exit(1);                                                \
		}                                                               \
	} while (0)

#endif
