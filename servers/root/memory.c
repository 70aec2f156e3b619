/* SPDX-License-Identifier: GPL-2.0-only */
/* RAM: Untypeds by size, so that each object comes out of the smallest that has room. */
#include <abi_boot.h>
#include <base/lib.h>
#include <l4/invoke.h>

#include "memory.h"
#include "pool.h"
#include "report.h"

static unsigned long ram[L4_BOOT_UNTYPED_MAX]; /* capabilities, by size */
static struct pool root_pool = { .owner = "the root pager", .untyped = ram };

void memory_init(void)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	unsigned int i, at;

	root_pool.first_slot = root_pool.next_slot = L4_ROOT_SLOT_UNTYPED + boot_info->untyped_count;
	root_pool.end_slot = 1UL << L4_ROOT_CNODE_BITS;
	for (i = 0; i < boot_info->untyped_count; i++) {
		if (untyped[i].kind != L4_MEM_RAM)
			continue;
		at = root_pool.untypeds++;
		for (; at && untyped[ram[at - 1] - L4_ROOT_SLOT_UNTYPED].size_bits > untyped[i].size_bits; at--)
			ram[at] = ram[at - 1];
		ram[at] = L4_ROOT_SLOT_UNTYPED + i;
	}
}

void memory_report(u64 guest_bytes)
{
	struct l4_untyped_info info;
	unsigned int i;
	u64 left = 0;

	for (i = 0; i < root_pool.untypeds; i++) {
		check(l4_untyped_info(ram[i], &info), "memory");
		left += info.free_bytes;
	}
	say("%lu KiB of RAM used beside the guest's %lu MiB, boot image and firmware included\n",
	    (boot_info->ram_size - left - guest_bytes) >> 10, guest_bytes >> 20);
}

struct pool *memory_pool(void) { return &root_pool; }

unsigned long slot_alloc(unsigned long count) { return pool_slots(&root_pool, count); }

unsigned long object_alloc(unsigned long type, unsigned long size_bits, unsigned long count)
{
	return pool_objects(&root_pool, type, size_bits, count);
}

unsigned long cap_copy(unsigned long cap) { return pool_copy(&root_pool, cap); }

unsigned long cap_mint(unsigned long cap, unsigned long rights, unsigned long badge)
{
	return pool_mint(&root_pool, cap, rights, badge);
}

unsigned long boot_frame(unsigned int i)
{
	unsigned long frame = slot_alloc(1);

	check(l4_untyped_retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, boot_info->untyped[i].size_bits,
	                        L4_ROOT_SLOT_CNODE, frame, 1),
	      "Frame of what the kernel left");
	return frame;
}

void page_fill(unsigned long frame, u64 offset, const void *from, u64 bytes)
{
	static unsigned long slot;

	if (!slot)
		slot = slot_alloc(1);
	check(l4_cnode_copy(L4_ROOT_SLOT_CNODE, slot, L4_ROOT_SLOT_CNODE, frame, L4_RIGHT_ALL), "copy");
	check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, slot, SCRATCH_VADDR, RIGHTS_RW, 0), "map of a page");
	memcpy((void *)(SCRATCH_VADDR + offset), from, bytes);
	l4_code_written((void *)(SCRATCH_VADDR + offset), bytes);
	check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, slot), "delete");
}
