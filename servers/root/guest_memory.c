/* SPDX-License-Identifier: GPL-2.0-only */
/* RAM of a guest: the run of Untypeds that gives it with the fewest Frames, since each costs a slot and an attach. */
#include <abi_boot.h>
#include <l4/invoke.h>

#include "guest_memory.h"
#include "memory.h"
#include "report.h"

/* The first Frame is mapped at the addresses of the kernel's image as well, where that has addresses of its own. */
#define FIRST_MAX_BITS (L4_LINUX_IMAGE_VADDR == L4_LINUX_RAM_VADDR ? L4_FRAME_MAX_BITS : L4_LINUX_IMAGE_MAX_BITS)

static unsigned long log2_floor(u64 value)
{
	unsigned long bits = 0;

	while (value >>= 1)
		bits++;
	return bits;
}

/* Whether nothing has been taken from an Untyped of boot_info yet. */
static bool is_whole(unsigned int i)
{
	struct l4_untyped_info info;

	check(l4_untyped_info(L4_ROOT_SLOT_UNTYPED + i, &info), "memory");
	return info.free_bytes == 1UL << boot_info->untyped[i].size_bits;
}

/*
 * The size of the next Frame of memory whose first byte is at gpa, and at `used` in its Untyped: aligned there, so that
 * it starts where the last one ended.
 */
static unsigned long frame_bits(u64 bytes, u64 gpa, u64 used)
{
	unsigned long bits = log2_floor(bytes), most = gpa ? L4_FRAME_MAX_BITS : FIRST_MAX_BITS;

	if (bits > most)
		bits = most;
	while (used & ((1UL << bits) - 1))
		bits--;
	return bits;
}

/*
 * Count the Frames that make `bytes` of contiguous memory from the start of Untyped i on; 0 if there is no such run.
 * Make them if memory is not NULL.
 */
static unsigned int plan_run(unsigned int i, u64 bytes, struct guest_memory *memory)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	u64 start = untyped[i].paddr, end = start, room;
	unsigned int count = 0;
	unsigned long bits;

	for (; bytes; i++) {
		if (i >= boot_info->untyped_count || untyped[i].kind != L4_MEM_RAM || untyped[i].paddr != end ||
		    untyped[i].size_bits < L4_LARGE_PAGE_BITS || (!memory && !is_whole(i)))
			return 0;
		for (room = 1UL << untyped[i].size_bits; room && bytes; room -= 1UL << bits) {
			bits = frame_bits(bytes < room ? bytes : room, end - start, end - untyped[i].paddr);
			if (count++ == L4_GUEST_REGIONS)
				return 0;
			if (memory) {
				struct region *region = &memory->region[count - 1];

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

void guest_memory_alloc(struct guest_memory *memory, u64 bytes)
{
	const struct l4_boot_untyped *untyped = boot_info->untyped;
	unsigned int i, count, best = 0, best_count = 0;

	for (i = 0; i < boot_info->untyped_count; i++) {
		if (untyped[i].kind != L4_MEM_RAM)
			continue;
		count = plan_run(i, bytes, NULL);
		if (count && (!best_count || count < best_count ||
		              (count == best_count && untyped[i].size_bits < untyped[best].size_bits))) {
			best = i;
			best_count = count;
		}
	}
	if (!best_count)
		fail("not enough memory: the guest wants %lu MiB in one piece, the machine has %lu MiB", bytes >> 20,
		     boot_info->ram_size >> 20);
	memory->paddr = untyped[best].paddr;
	memory->bytes = bytes;
	memory->count = plan_run(best, bytes, memory);
}
