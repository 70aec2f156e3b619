/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A guest's virtio device on a virtio PCI device of the machine: requests are checked, their addresses made
 * physical, and put on the device's own ring; no byte of the data is copied or looked at.
 *
 * The guest chooses among the features of the device that the class lets through, so its driver and the
 * device agree about every format.
 */
#ifndef FRONT_H
#define FRONT_H

#include <l4/types.h>

#define FRONT_QUEUES 2
#define FRONT_UNDONE 0xff

struct front_class {
	u32 device_id;
	u64 features; /* let through */
	u32 config_bytes;
	u16 queue_size; /* of the guest */
	u16 queue_count;
	/* Least bytes of a request: with fewer the machine's device would declare itself broken. */
	struct {
		u64 readable, writable;
	} least[FRONT_QUEUES];
	/* The device ends what it writes of a request with a byte that is never FRONT_UNDONE: told of a request where
	 * it stands, it was not done. */
	bool status;
	/* Adapt the configuration to requests of at most so many buffers. */
	void (*limit)(u8 *config, u16 buffers);
};

/* Serve for ever. */
void front_serve(const struct front_class *class) __attribute__((noreturn));

#endif
