// SPDX-License-Identifier: GPL-2.0-only
/* The reader of the log (CONTROL.LOG_BIND): a Notification that is signalled when the log has grown. */
#include <kernel/cpu.h>
#include <kernel/log.h>
#include <kernel/notification.h>

static struct slot reader; /* held: the reader's Notification */

void log_bind(struct slot *notification)
{
	slot_drop(&reader);
	if (notification)
		slot_hold(&reader, notification, HELD_LOG);
	log_set_reader(notification);
}

/* The slot is empty: from now on the log goes to the serial line again. */
void log_lost(void) { log_set_reader(false); }

void log_signal_reader(void)
{
	this_cpu()->log_unread = false;
	if (reader.type)
		notification_signal_cap(&reader);
}
