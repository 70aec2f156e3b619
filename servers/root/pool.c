/* SPDX-License-Identifier: GPL-2.0-only */
/* Pools: slots, and objects out of Untypeds. */
#include <abi_boot.h>
#include <l4/invoke.h>

#include "pool.h"
#include "report.h"

unsigned long pool_try_slots(struct pool *pool, unsigned long count)
{
	unsigned long first = pool->next_slot;

	if (count > pool->end_slot - first)
		return 0;
	pool->next_slot += count;
	return first;
}

unsigned long pool_slots(struct pool *pool, unsigned long count)
{
	unsigned long first = pool_try_slots(pool, count);

	if (!first)
		fail("no capability slots left for %s", pool->owner);
	return first;
}

/* Make objects in empty slots, out of the first Untyped that has room. False: no memory is left. */
static bool retype(struct pool *pool, unsigned long slot, unsigned long type, unsigned long size_bits,
                   unsigned long count)
{
	unsigned int i;

	for (i = 0; i < pool->untypeds; i++) {
		unsigned long error =
			l4_untyped_retype(pool->untyped[i], type, size_bits, L4_ROOT_SLOT_CNODE, slot, count);

		if (error == L4_ERR_OK)
			return true;
		if (error != L4_ERR_MEMORY)
			check(error, "retype");
	}
	return false;
}

static void out_of_memory(const struct pool *pool, unsigned long type, unsigned long size_bits, unsigned long count)
	__attribute__((noreturn));
static void out_of_memory(const struct pool *pool, unsigned long type, unsigned long size_bits, unsigned long count)
{
	fail("not enough memory for %s: %lu objects of type %lu and 2^%lu bytes are left to make; start the "
	     "machine with more",
	     pool->owner, count, type, size_bits);
}

unsigned long pool_try_objects(struct pool *pool, unsigned long type, unsigned long size_bits, unsigned long count)
{
	unsigned long slot = pool_try_slots(pool, count);

	if (slot && retype(pool, slot, type, size_bits, count))
		return slot;
	if (slot)
		pool->next_slot = slot;
	return 0;
}

unsigned long pool_objects(struct pool *pool, unsigned long type, unsigned long size_bits, unsigned long count)
{
	unsigned long slot = pool_try_objects(pool, type, size_bits, count);

	if (!slot)
		out_of_memory(pool, type, size_bits, count);
	return slot;
}

void pool_object_at(struct pool *pool, unsigned long slot, unsigned long type, unsigned long size_bits)
{
	if (!retype(pool, slot, type, size_bits, 1))
		out_of_memory(pool, type, size_bits, 1);
}

unsigned long pool_copy(struct pool *pool, unsigned long cap)
{
	unsigned long slot = pool_slots(pool, 1);

	check(l4_cnode_copy(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, cap, L4_RIGHT_ALL), "copy");
	return slot;
}

unsigned long pool_mint(struct pool *pool, unsigned long cap, unsigned long rights, unsigned long badge)
{
	unsigned long slot = pool_slots(pool, 1);

	check(l4_cnode_mint(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, cap, rights, badge), "mint");
	return slot;
}

void pool_empty(struct pool *pool)
{
	unsigned long slot;
	unsigned int i;

	for (slot = pool->first_slot; slot < pool->next_slot; slot++)
		l4_cnode_delete(L4_ROOT_SLOT_CNODE, slot);
	for (i = 0; i < pool->untypeds; i++)
		check(l4_cnode_revoke(L4_ROOT_SLOT_CNODE, pool->untyped[i]), "end of a pool");
	pool->next_slot = pool->first_slot;
}
