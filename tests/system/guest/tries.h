/* SPDX-License-Identifier: BSD-2-Clause */
/* An access to memory that may be a fault. The handler that catches it is on_fault(), for whichever signals a test has. */
#ifndef TRIES_H
#define TRIES_H
#include <setjmp.h>

static sigjmp_buf back;

static void on_fault(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

/* Whether a load, or a store of what is there, is a fault. */
static int faults(volatile char *address, int write)
{
	if (sigsetjmp(back, 1))
		return 1;
	if (write)
		*address = *address;
	else
		(void)*address;
	return 0;
}
#endif
