/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Slots, and objects out of Untypeds. RAM is taken from the smallest Untyped that has room. Device memory is
 * split in halves until a Frame of the wanted size is left over; the tree of halves is kept.
 */
#include "root.h"

#define NODES 2048

struct node {
	u64 paddr;
	u32 cap;
	u16 child; /* the lower half; the upper one follows. 0: not split */
	u8 bits;
	bool is_frame;
};

struct guest_memory guest_memory;

static unsigned long next_slot;
static struct node nodes[NODES];
static unsigned int node_count;
static unsigned int ram[L4_BOOT_UNTYPED_MAX], ram_count; /* by size */
static u64 device_next = DEVICE_VADDR;

unsigned long slot_alloc(unsigned long count)
{
	unsigned long first = next_slot;

	if (first + count > 1UL << L4_ROOT_CNODE_BITS)
		fail("out of capability slots");
	next_slot += count;
	return first;
}

void memory_init(void)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	unsigned int i, at;

	next_slot = L4_ROOT_SLOT_UNTYPED + boot_info->untyped_count;
	node_count = 1; /* 0 means none */
	for (i = 0; i < boot_info->untyped_count; i++) {
		if (untyped[i].kind == L4_MEM_DEVICE)
			nodes[node_count++] = (struct node){ .paddr = untyped[i].paddr,
			                                     .cap = L4_ROOT_SLOT_UNTYPED + i,
			                                     .bits = (u8)untyped[i].size_bits };
		if (untyped[i].kind != L4_MEM_RAM)
			continue;
		for (at = ram_count++; at && untyped[ram[at - 1]].size_bits > untyped[i].size_bits; at--)
			ram[at] = ram[at - 1];
		ram[at] = i;
	}
}

void memory_report(void)
{
	u64 left = 0;

	for (unsigned int i = 0; i < ram_count; i++) {
		struct l4_untyped_info info;

		check(l4_untyped_info(L4_ROOT_SLOT_UNTYPED + ram[i], &info), "memory");
		left += info.free_bytes;
	}
	say("%lu KiB of RAM used beside the guest's %lu MiB, boot image and firmware included\n",
	    (boot_info->ram_size - left - guest_memory.bytes) >> 10, guest_memory.bytes >> 20);
}

void object_alloc_at(unsigned long slot, unsigned long type, unsigned long size_bits, unsigned long count)
{
	unsigned int i;

	for (i = 0; i < ram_count; i++) {
		unsigned long error = l4_untyped_retype(L4_ROOT_SLOT_UNTYPED + ram[i], type, size_bits,
		                                        L4_ROOT_SLOT_CNODE, slot, count);

		if (error == L4_ERR_OK)
			return;
		if (error != L4_ERR_MEMORY)
			check(error, "retype");
	}
	fail("not enough memory: %lu objects of type %lu and 2^%lu bytes are left to make; start the machine "
	     "with more",
	     count, type, size_bits);
}

unsigned long object_alloc(unsigned long type, unsigned long size_bits, unsigned long count)
{
	unsigned long slot = slot_alloc(count);

	object_alloc_at(slot, type, size_bits, count);
	return slot;
}

unsigned long cap_copy(unsigned long cap)
{
	unsigned long slot = slot_alloc(1);

	check(l4_cnode_copy(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, cap, L4_RIGHT_ALL), "copy");
	return slot;
}

unsigned long cap_mint(unsigned long cap, unsigned long rights, unsigned long badge)
{
	unsigned long slot = slot_alloc(1);

	check(l4_cnode_mint(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, cap, rights, badge), "mint");
	return slot;
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
		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, cap_copy(device_frame(page, L4_PAGE_BITS)), device_next, RW,
		                    uncached),
		      "map of device memory");
	return (void *)(vaddr + paddr % L4_PAGE_SIZE);
}

void page_fill(unsigned long frame, u64 offset, const void *from, u64 bytes)
{
	static unsigned long slot;

	if (!slot)
		slot = slot_alloc(1);
	check(l4_cnode_copy(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, frame, L4_RIGHT_ALL), "copy");
	check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, slot, SCRATCH_VADDR, RW, 0), "map of a page");
	memcpy((void *)(SCRATCH_VADDR + offset), from, bytes);
	l4_code_written((void *)(SCRATCH_VADDR + offset), bytes);
	check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, slot), "delete");
}

static unsigned long log2_floor(u64 value)
{
	unsigned long bits = 0;

	while (value >>= 1)
		bits++;
	return bits;
}

/* Frames that make `bytes` from the start of Untyped i on; 0 if there is no such run. With make, they are
 * made. */
static unsigned int plan_run(unsigned int i, u64 bytes, bool make)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	u64 start = untyped[i].paddr, end = start, room;
	unsigned int count = 0;
	unsigned long bits;

	for (; bytes; i++) {
		if (i >= boot_info->untyped_count || untyped[i].kind != L4_MEM_RAM || untyped[i].paddr != end ||
		    untyped[i].size_bits < L4_LARGE_PAGE_BITS)
			return 0;
		for (room = 1UL << untyped[i].size_bits; room && bytes; room -= 1UL << bits) {
			struct region *region = &guest_memory.region[count];

			/* Never larger than the one before in this Untyped, so each starts where the last
			 * ended. */
			bits = log2_floor(bytes < room ? bytes : room);
			if (bits > L4_FRAME_MAX_BITS)
				bits = L4_FRAME_MAX_BITS;
			if (count++ == L4_GUEST_REGIONS)
				return 0;
			if (make) {
				*region = (struct region){ slot_alloc(1), end - start, bits };
				check(l4_untyped_retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, bits,
				                        L4_ROOT_SLOT_CNODE, region->frame, 1),
				      "guest RAM");
			}
			end += 1UL << bits;
			bytes -= 1UL << bits;
		}
	}
	return count;
}

void guest_memory_alloc(u64 bytes)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	unsigned int i, count, best = 0, best_count = 0;

	for (i = 0; i < boot_info->untyped_count; i++) {
		if (untyped[i].kind != L4_MEM_RAM)
			continue;
		count = plan_run(i, bytes, false);
		if (count && (!best_count || count < best_count ||
		              (count == best_count && untyped[i].size_bits < untyped[best].size_bits))) {
			best = i;
			best_count = count;
		}
	}
	if (!best_count)
		fail("not enough memory: the guest wants %lu MiB in one piece, the machine has %lu MiB", bytes >> 20,
		     boot_info->ram_size >> 20);
	guest_memory.paddr = untyped[best].paddr;
	guest_memory.bytes = bytes;
	guest_memory.count = plan_run(best, bytes, true);
}
