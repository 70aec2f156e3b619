/* SPDX-License-Identifier: BSD-2-Clause */
/* In the place of an ISA, for the root pager's board on the host: system calls are the test's. */
#ifndef L4_ARCH_H
#define L4_ARCH_H

#include <l4/types.h>

unsigned long l4_syscall(unsigned long number, unsigned long cap, unsigned long reply_cap, struct l4_msg *msg);

static inline unsigned long l4_counter(void) { return 0; }

#endif
