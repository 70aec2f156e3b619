/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The resources of a server, as its info page lists them. The page is read each time: the server cannot write it, so no
 * stray store changes what is found there.
 */
#ifndef BASE_RESOURCE_H
#define BASE_RESOURCE_H

#include <abi_servers.h>
#include <l4/types.h>

/* The first resource of a kind (L4_RESOURCE_...) that the server is sure to have; quick. */
static inline const struct l4_resource *resource_first(const struct l4_server_info *info, unsigned int kind)
{
	return &info->resource[info->first[kind]];
}

/* Resource number `index` of a kind; NULL: there are no more. */
static inline const struct l4_resource *resource_find(const struct l4_server_info *info, unsigned int kind,
                                                      unsigned int index)
{
	u64 i;

	for (i = 0; i < info->resource_count; i++)
		if (info->resource[i].kind == kind && !index--)
			return &info->resource[i];
	return NULL;
}

/* The registers of a type (L4_REGISTERS_...); NULL: it has none. */
static inline const struct l4_resource *resource_registers(const struct l4_server_info *info, unsigned int type)
{
	u64 i;

	for (i = 0; i < info->resource_count; i++)
		if (info->resource[i].kind == L4_RESOURCE_REGISTERS && info->resource[i].type == type)
			return &info->resource[i];
	return NULL;
}

#endif
