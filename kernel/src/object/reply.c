// SPDX-License-Identifier: GPL-2.0-only
/* Reply: its life. A caller or receiver that still waits with it goes on with an error. */
#include <kernel/ipc.h>

void reply_init(struct object *o) {}

bool reply_destroy(struct object *o)
{
	struct reply *r = (struct reply *)o;

	if (r->receiver)
		ipc_cancel(r->receiver, L4_ERR_CANCELLED);
	if (r->caller)
		ipc_cancel(r->caller, L4_ERR_CANCELLED);
	return true;
}
