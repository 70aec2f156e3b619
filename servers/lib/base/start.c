/* SPDX-License-Identifier: BSD-2-Clause */
/* The first C function of a program: start.S of libl4 jumps to it. */
#include <base/lib.h>
#include <l4/syscall.h>

struct l4_utcb *l4_utcb;

void l4_start(void *info, struct l4_utcb *utcb)
{
	l4_utcb = utcb;
	l4_main(info);
	l4_die("main returned");
}
