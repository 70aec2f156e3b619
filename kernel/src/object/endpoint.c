// SPDX-License-Identifier: GPL-2.0-only
/* Endpoint: its life. ipc/ has the messages. */
#include <kernel/debug.h>
#include <kernel/ipc.h>

void endpoint_init(struct object *o) { list_init(&((struct endpoint *)o)->queue); }

/* Only receivers are left: a sender holds a capability. */
bool endpoint_destroy(struct object *o)
{
	struct endpoint *ep = (struct endpoint *)o;

	assert(list_empty(&ep->queue) || ep->receivers);
	if (!list_empty(&ep->queue))
		ipc_cancel(container_of(ep->queue.next, struct thread, link), L4_ERR_CANCELLED);
	return list_empty(&ep->queue);
}
