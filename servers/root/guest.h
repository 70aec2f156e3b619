/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests: each has its memory and its vCPUs; what servers signal to it goes to the first of them. */
#ifndef ROOT_GUEST_H
#define ROOT_GUEST_H

#include "guest_memory.h"
#include "system.h"
#include "vcpu.h"

struct guest {
	const struct system_guest *system;
	unsigned int number; /* in badges */
	struct guest_memory memory;
	struct vcpus vcpus;
};

/* Take the guest's memory and its vCPUs' Notifications: what servers need of it. */
void guest_init(struct guest *guest, const struct system_guest *system, unsigned int number, u64 ram);

/* Load its kernel and make its first vCPU, except for the edges to servers. */
void guest_create(struct guest *guest);

void guest_start(struct guest *guest);

#endif
