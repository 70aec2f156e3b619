/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What guests ask for: to go off, to restart, to report a panic, to map their RAM themselves, to start and stop
 * vCPUs; and their faults.
 */
#ifndef ROOT_REQUESTS_H
#define ROOT_REQUESTS_H

#include "guest.h"

/*
 * A request of a vCPU. Returns whether it was one of these, and its answer is *word; if not, the guest gets an error.
 */
bool guest_call(struct guest *guest, unsigned int vcpu, const struct l4_msg *msg, u64 *word);

/* The guest's kernel made a fault that it cannot handle: it ends like a panic. */
void guest_fault(struct guest *guest, const struct l4_msg *msg) __attribute__((noreturn));

#endif
