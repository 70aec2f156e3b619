/* SPDX-License-Identifier: GPL-2.0-only */
/* Notification: a word of event bits. Signals are or-ed in; a waiter takes the word. */
#ifndef KERNEL_NOTIFICATION_H
#define KERNEL_NOTIFICATION_H

#include <kernel/thread.h>

struct notification {
	struct object obj;
	u64 word;
	struct list queue;
	struct thread *bound;
};
_Static_assert(sizeof(struct notification) <= 1 << L4_NOTIFICATION_BITS, "notification size");

error_t notification_wait(struct thread *t, struct notification *n, bool block);
void notification_signal(struct notification *n, u64 bits);
void notification_signal_cap(const struct slot *cap);         /* its badge, or 1 */
error_t notification_signal_slot(struct thread *t, u64 slot); /* the capability that t has there */
void notification_deliver_bound(struct thread *t);            /* if t waits in RECV and its Notification has a word */

#endif
