/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pools: slots of the root pager's CNode and memory for objects, taken together and given back together. The root pager
 * has one of all RAM; each life of a server has one of a single Untyped.
 */
#ifndef ROOT_POOL_H
#define ROOT_POOL_H

#include <l4/types.h>

struct pool {
	const char *owner;            /* in error texts */
	const unsigned long *untyped; /* capabilities, tried in this order */
	unsigned int untypeds;
	unsigned long first_slot, next_slot, end_slot;
};

/* The first of `count` neighbouring slots. 0: none are left. */
unsigned long pool_try_slots(struct pool *pool, unsigned long count);
unsigned long pool_slots(struct pool *pool, unsigned long count);

/* The first of `count` new objects, in neighbouring slots. 0: no slots or no memory are left. */
unsigned long pool_try_objects(struct pool *pool, unsigned long type, unsigned long size_bits, unsigned long count);
unsigned long pool_objects(struct pool *pool, unsigned long type, unsigned long size_bits, unsigned long count);

/* One new object in a slot that is empty. */
void pool_object_at(struct pool *pool, unsigned long slot, unsigned long type, unsigned long size_bits);

/* A copy of a capability, with all its rights, or with some and a badge. */
unsigned long pool_copy(struct pool *pool, unsigned long cap);
unsigned long pool_mint(struct pool *pool, unsigned long cap, unsigned long rights, unsigned long badge);

/* Delete all capabilities in its slots, and all objects made of its memory. */
void pool_empty(struct pool *pool);

#endif
