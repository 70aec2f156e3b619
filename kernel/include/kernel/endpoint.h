/* SPDX-License-Identifier: GPL-2.0-only */
/* Endpoint: where senders and receivers of synchronous IPC meet (ipc/). */
#ifndef KERNEL_ENDPOINT_H
#define KERNEL_ENDPOINT_H

#include <kernel/thread.h>

struct endpoint {
	struct object obj;
	struct list queue; /* all senders or all receivers */
	bool receivers;
};
_Static_assert(sizeof(struct endpoint) <= 1 << L4_ENDPOINT_BITS, "endpoint size");

#endif
