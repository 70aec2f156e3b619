/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's virtio console: its queues, and a request that has been taken off one of them. */
#ifndef CONSOLE_REQUEST_H
#define CONSOLE_REQUEST_H

#include <virtio/backend.h>

/* Queues of a port: virtio 1.2, section 5.3.2. */
#define RECEIVE  0
#define TRANSMIT 1

#define TRIES 3 /* memory that the guest shares may change between two readings */

struct request {
	struct guest_chain chain;
	u64 seal; /* checksum of the chain when it was taken */
};

extern struct backend guest_console;

/* Take the oldest request of a queue. False: there is none, or it changes while it is read. */
bool request_take(unsigned int queue, struct request *request);

/* Die if a request was changed since it was taken. */
void request_check(const struct request *request);

/* Whether a request of a queue was taken and has not gone back; there is never more than one. */
bool request_underway(unsigned int queue);

#endif
