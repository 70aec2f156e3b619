/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of a front share: front.c serves, watch.c looks whether that goes on. */
#ifndef FRONT_STATE_H
#define FRONT_STATE_H

#include <virtio/backend.h>

#include "front.h"

/* Requests of one queue that the driver has, in the guest's order; a token is a place in the array. */
struct flight {
	u16 first, next;
	struct {
		u16 head;
		bool done;
		u32 written;
		u64 room;            /* bytes that the device may write */
		volatile u8 *status; /* NULL: it has none */
	} request[DRIVER_TOKENS];
};

/* On a page that this program cannot write. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

extern struct backend backend;
extern struct flight flight[DRIVER_QUEUES];
extern bool running;

/* Whether the guest posts work to this queue (block requests, packets to send), not empty buffers. */
static inline bool is_work(u16 number) { return front.least[number].readable; }

/* Forget what was seen: the device starts anew. */
void watch_reset(void);

/* After each event. interrupted: the device interrupted; progress: a request went back. */
void watch_event(bool interrupted, bool progress);

/* Before the answer to a ping: ends the program if it finds itself or the device inconsistent. */
void watch_ping(void);

#endif
