/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Virtual CPUs of a guest. Each is a CPU with a TLB of its own: a thread with its own VSpace, GuestSpaces, CNode, vCPU
 * page and Notification, with the same addresses and slots as every other. They share the guest's RAM alone. All of one
 * but the first is made when it starts, and ends when it stops: so no translation survives, and it begins as new.
 */
#ifndef ROOT_VCPU_H
#define ROOT_VCPU_H

#include <abi_servers.h>
#include <abi_vcpus.h>

#include "guest_memory.h"
#include "pool.h"

/* Addresses in the guest kernel's VSpace: guest-physical address 0 of its linear map and of its image; two pages. */
struct vcpu_place {
	u64 ram, image, vcpu, utcb;
};

#define VCPU_UNTYPEDS 3

struct vcpu {
	/* One life. */
	struct pool *life;
	unsigned long vspace, cnode, thread, sched;
	unsigned long cpu; /* that it runs on */
	/* Capabilities by which RAM is in its VSpace, at the linear map's and the image's addresses; 0: no more. */
	unsigned long mapped[L4_GUEST_REGIONS], mapped_image;
	bool runs;

	/* All lives. */
	unsigned long notification, ipi; /* of its events; a capability that signals L4_GUEST_EVENT_IPI */
	unsigned long call, fault;       /* its way to the root pager */
	struct pool pool;                /* of one but the first */
	unsigned long untyped[VCPU_UNTYPEDS];
};

/* A guest's vCPUs, and what they have in common. */
struct vcpus {
	unsigned int guest; /* its number, in badges */
	unsigned int count;
	const struct guest_memory *memory;
	struct vcpu_place place;
	bool upper_half; /* the VSpace has the guest's ranges of it, in this mode */
	unsigned long mode;
	unsigned long kick[L4_GUEST_DEVICES]; /* 0: there is no such device */
	struct vcpu vcpu[L4_GUEST_VCPUS];
};

/* Make their Notifications: what servers need of a guest. */
void vcpus_init(struct vcpus *vcpus, unsigned int guest, const struct guest_memory *memory);

/* Take the memory of all of them, so that each START has what it needs. */
void vcpus_take_memory(struct vcpus *vcpus);

/* Make one that does not run, with the instruction and arguments that its thread begins with; let it run. */
void vcpu_make(struct vcpus *vcpus, unsigned int n, u64 entry, u64 second, u64 third);
void vcpu_resume(struct vcpus *vcpus, unsigned int n);

/* Give the first one, and those that are made later, a capability that tells a server that there is work. */
void vcpus_connect(struct vcpus *vcpus, unsigned int front, unsigned long kick);

/* ROOT_VCPU_START and ROOT_VCPU_STOP: return 0 or why not. A vCPU that was stopped waits for no answer. */
unsigned long vcpu_start(struct vcpus *vcpus, unsigned long n, u64 entry, u64 argument);
unsigned long vcpu_stop(struct vcpus *vcpus, unsigned int n);

/* Have those run elsewhere of which the description says so by now. */
void vcpus_place(struct vcpus *vcpus);

/* Take RAM out of the VSpace of one, until it starts again. It stays attached: L4 fills from the guest's own table. */
void vcpu_unmap_ram(struct vcpus *vcpus, unsigned int n);

#endif
