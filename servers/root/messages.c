/* SPDX-License-Identifier: GPL-2.0-only */
/* The root pager's Endpoint. */
#include <abi_boot.h>
#include <l4/invoke.h>
#include <l4/syscall.h>

#include "memory.h"
#include "messages.h"
#include "report.h"

static unsigned long endpoint, notification;

void messages_init(void)
{
	endpoint = object_alloc(L4_TYPE_ENDPOINT, 0, 1);
	notification = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
	check(l4_thread_bind_notification(L4_ROOT_SLOT_THREAD, notification), "own Notification");
}

unsigned long messages_sender(unsigned long badge) { return cap_mint(endpoint, L4_RIGHT_WRITE, badge); }

unsigned long messages_fault_handler(unsigned long badge)
{
	return cap_mint(endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, badge);
}

unsigned long messages_tick(void) { return cap_mint(notification, L4_RIGHT_WRITE, BADGE_TICK); }

unsigned long messages_receive(unsigned long reply, struct l4_msg *msg)
{
	*msg = (struct l4_msg){ 0 };
	return l4_recv(endpoint, reply, msg);
}

void messages_answer(unsigned long reply, unsigned long label, unsigned long word)
{
	struct l4_msg msg = { .tag = l4_tag(label, 1, 0), .words = { word } };

	l4_send(reply, &msg);
}
