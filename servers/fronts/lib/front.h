/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's virtio device whose requests the driver of a real one takes: checked, with addresses for the device, and
 * in the guest's order again when they come back.
 *
 * The guest chooses among the features that the driver offers and the front lets through, so both ends agree about
 * every format.
 */
#ifndef FRONT_H
#define FRONT_H

#include <abi_servers.h>
#include <class/driver.h>

/* Status byte of a request that the device has not written yet; no device writes this value. */
#define FRONT_UNDONE 0xff

struct front {
	u32 device_id;
	u64 features; /* let through */
	u32 config_bytes;
	u16 queue_size; /* of the guest */
	u16 out_max;    /* most requests of a queue that have not gone back to the guest; 0: as many as fit */
	/* Least bytes of a request. Virtio devices declare themselves broken when they find less. */
	struct {
		u64 readable, writable;
	} least[DRIVER_QUEUES];
	/* A request ends with a status byte that the device writes: one that is told of and still FRONT_UNDONE was not done. */
	bool status;
};

/* Of this program. */
extern const struct front front;

/* Serve for ever. offered: the driver's features; queues: that it has; buffers: most of a request. */
void front_serve(u64 offered, u16 queues, u16 buffers, const void *config) __attribute__((noreturn));

#endif
