/* SPDX-License-Identifier: GPL-2.0-only */
/* Description of the system: which servers run, which device each drives, and which guest it serves. */
#ifndef ROOT_SYSTEM_H
#define ROOT_SYSTEM_H

#include <l4/types.h>

#define SYSTEM_SERVERS 16 /* at most */
#define SYSTEM_GUESTS  1  /* at most: the boot image has one Linux */

/* A server's edge to a guest is a virtio device: number `front` of guest `guest`. */
struct system_server {
	const char *program;
	const char *device; /* what platform_claim() is asked for */
	unsigned int guest, front;
	bool writes_log; /* it gets the kernel's log, and brings it out from its first READY on */
};

/* Names in the boot image. */
struct system_guest {
	const char *kernel, *device_tree, *archive;
	unsigned int fronts; /* virtio devices that servers offer to it */
};

extern const struct system_server system_server[];
extern const struct system_guest system_guest[];
extern const unsigned int system_servers, system_guests;

#endif
