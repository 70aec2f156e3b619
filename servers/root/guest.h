/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests: each has its memory, a VSpace with GuestSpaces, one virtual CPU, a Notification, and few capabilities. */
#ifndef ROOT_GUEST_H
#define ROOT_GUEST_H

#include "guest_memory.h"
#include "system.h"

/* Addresses in the guest kernel's VSpace: guest-physical address 0 of its linear map and of its image; two pages. */
struct guest_place {
	u64 ram, image, vcpu, utcb;
};

struct guest {
	const struct system_guest *system;
	unsigned int number; /* in badges */
	struct guest_memory memory;
	struct guest_place place;
	unsigned long notification; /* signalled by the servers, a bit for each front */
	unsigned long vspace, cnode, thread;
	/* Capabilities by which its RAM is in its VSpace, at the linear map's and the image's addresses; 0: no more. */
	unsigned long mapped[L4_GUEST_REGIONS], mapped_image;
};

/* Take the guest's memory and its Notification: what servers need of it. */
void guest_init(struct guest *guest, const struct system_guest *system, unsigned int number, u64 ram);

/* Load its kernel and make all else that it has, except for the edges to servers. */
void guest_create(struct guest *guest);

/* Give it the capability by which it tells a server that there is work on front number `front`. */
void guest_connect(struct guest *guest, unsigned int front, unsigned long kick);

void guest_start(struct guest *guest);

/* Take its RAM out of its VSpace, for good. It stays attached: L4 fills from the guest kernel's own table. */
void guest_unmap_ram(struct guest *guest);

#endif
