/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Device memory. Each Untyped of it is split in halves until a Frame of the wanted size is left over; the tree of halves
 * is kept, so that a second request for the same memory finds the same Frame.
 */
#include <abi_boot.h>
#include <l4/invoke.h>

#include "device_memory.h"
#include "memory.h"
#include "report.h"

#define NODES 2048

struct node {
	u64 paddr;
	u32 cap;
	u16 child; /* the lower half; the upper one follows. 0: not split */
	u8 bits;
	bool is_frame;
};

static struct node nodes[NODES];
static unsigned int node_count;
static u64 device_next = DEVICE_VADDR;

void device_memory_init(void)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	unsigned int i;

	node_count = 1; /* 0 means none */
	for (i = 0; i < boot_info->untyped_count; i++)
		if (untyped[i].kind == L4_MEM_DEVICE)
			nodes[node_count++] = (struct node){ .paddr = untyped[i].paddr,
			                                     .cap = L4_ROOT_SLOT_UNTYPED + i,
			                                     .bits = (u8)untyped[i].size_bits };
}

static void split(struct node *node)
{
	unsigned long slot = slot_alloc(2);
	unsigned int i;

	if (node_count + 2 > NODES)
		fail("device memory is in too many pieces");
	check(l4_untyped_retype(node->cap, L4_TYPE_UNTYPED, node->bits - 1UL, L4_ROOT_SLOT_CNODE, slot, 2),
	      "split of device memory");
	node->child = (u16)node_count;
	for (i = 0; i < 2; i++)
		nodes[node_count++] = (struct node){ .paddr = node->paddr + ((u64)i << (node->bits - 1)),
		                                     .cap = (u32)(slot + i),
		                                     .bits = (u8)(node->bits - 1) };
}

unsigned long device_frame(u64 paddr, unsigned long size_bits)
{
	struct node *node = NULL;
	unsigned long slot;
	unsigned int i;

	for (i = 1; i < node_count && !node; i++)
		if (paddr >= nodes[i].paddr && paddr - nodes[i].paddr < 1UL << nodes[i].bits)
			node = &nodes[i];
	/* Roots of the tree come first, so the first hit is one. */
	if (!node)
		fail("physical address %lx is no device memory", paddr);
	while (node->bits > size_bits && !node->is_frame) {
		if (!node->child)
			split(node);
		node = &nodes[node->child];
		if (paddr >= node[1].paddr)
			node++;
	}
	if (node->bits != size_bits || node->child)
		fail("physical address %lx is in use with another size", paddr);
	if (!node->is_frame) {
		slot = slot_alloc(1);
		check(l4_untyped_retype(node->cap, L4_TYPE_FRAME, size_bits, L4_ROOT_SLOT_CNODE, slot, 1),
		      "Frame of device memory");
		node->cap = (u32)slot;
		node->is_frame = true;
	}
	return node->cap;
}

void *device_map(u64 paddr, u64 bytes, bool uncached)
{
	u64 page = paddr & ~(L4_PAGE_SIZE - 1UL), vaddr = device_next;

	for (; page < paddr + bytes; page += L4_PAGE_SIZE, device_next += L4_PAGE_SIZE)
		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, cap_copy(device_frame(page, L4_PAGE_BITS)), device_next,
		                    RIGHTS_RW, uncached),
		      "map of device memory");
	return (void *)(vaddr + paddr % L4_PAGE_SIZE);
}
