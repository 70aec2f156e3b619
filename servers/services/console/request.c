/* SPDX-License-Identifier: GPL-2.0-only */
/* Requests of the guest's virtio console. */
#include <base/lib.h>

#include "request.h"

struct backend guest_console;

/* Checksum of a chain. */
static u64 seal_of_chain(const struct guest_chain *chain)
{
	u64 sum = (chain->readable * 7 + chain->writable) * 11 + chain->count * 13UL + chain->head;
	u16 i;

	for (i = 0; i < chain->count && i < CHAIN_MAX; i++)
		sum = (sum + chain->buffer[i].gpa * 3 + chain->buffer[i].bytes * 5UL + chain->buffer[i].write) *
		      0x9e3779b97f4a7c15UL;
	return sum;
}

/* A request stays here for as long as the line takes; changed by a stray store it would name any memory. */
void request_check(const struct request *request)
{
	if (l4_read_once(request->seal) != seal_of_chain(&request->chain))
		l4_die("request was changed");
}

bool request_take(unsigned int queue, struct request *request)
{
	static struct guest_chain again;
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (backend_peek(&guest_console, queue, &request->chain) <= 0 ||
		    backend_peek(&guest_console, queue, &again) <= 0)
			return false;
		request->seal = seal_of_chain(&again);
		if (request->seal == seal_of_chain(&request->chain)) {
			backend_advance(&guest_console, queue);
			return true;
		}
	}
	backend_break(&guest_console, "request does not keep still");
	return false;
}

bool request_underway(unsigned int queue) { return backend_taken(&guest_console, queue); }
