/* SPDX-License-Identifier: GPL-2.0-only */
/* The ranges of the upper half that a guest kernel's VSpace may map, and L4's entries between them. */
#include "guest.h"

#define RW            (L4_RIGHT_READ | L4_RIGHT_WRITE)
#define RANGE_END     (L4_GUEST_DYNAMIC_START + (1UL << 39)) /* the first two ranges are neighbours */
#define LAST(end)     ((end) - L4_PAGE_SIZE)
#define MAP(v, f, at) INV(v, L4_VSPACE_MAP, f, at, RW, 0)

static const u64 inside[] = { L4_GUEST_LINEAR_START, LAST(L4_GUEST_DYNAMIC_START), L4_GUEST_DYNAMIC_START,
                              LAST(RANGE_END),       L4_GUEST_IMAGE_START,         LAST(L4_GUEST_IMAGE_END),
                              LAST(L4_USER_TOP) };
/* Beside the ranges, where L4 is, and addresses that the CPU does not have although their tables would translate them. */
static const u64 outside[] = { LAST(L4_GUEST_LINEAR_START),
                               RANGE_END,
                               LAST(L4_GUEST_IMAGE_START),
                               L4_GUEST_IMAGE_END,
                               LAST(0UL),
                               0xffff800000000000,
                               0xffff800000200000,
                               0xffffffff80000000,
                               0xffffffff80200000,
                               0xffffffffbfe00000,
                               0xffffffffbfe01000,
                               0xffffff8000000000,
                               L4_USER_TOP,
                               0x900000000000,
                               0xffffc0000000,
                               0x1fffffffc0000000 };

static u64 beside(void)
{
	u64 v = obj_new(L4_TYPE_VSPACE, 18);

	MUST(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE));
	return v;
}

TEST(x86_guest_ranges_are_all_of_the_upper_half_that_map_takes)
{
	u64 v = beside(), plain = obj_new(L4_TYPE_VSPACE, 18), f = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);
	u64 two = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS + 1), large = obj_new(L4_TYPE_FRAME, L4_LARGE_PAGE_BITS);

	for (u64 i = 0; i < sizeof(inside) / 8; i++) {
		ERR(MAP(v, f, inside[i]), OK);
		ERR(INV(f, L4_FRAME_UNMAP), OK);
		if (inside[i] >> 63)
			ERR(MAP(plain, f, inside[i]), RANGE);
	}
	for (u64 i = 0; i < sizeof(outside) / 8; i++)
		ERR(MAP(v, f, outside[i]), RANGE);
	/* from one range into its neighbour, and over an end */
	ERR(MAP(v, two, LAST(L4_GUEST_DYNAMIC_START)), RANGE);
	ERR(MAP(v, two, LAST(RANGE_END)), RANGE);
	ERR(MAP(v, two, LAST(L4_GUEST_IMAGE_END)), RANGE);
	ERR(MAP(v, large, L4_GUEST_IMAGE_END - 0x200000), OK);
}

TEST(x86_guest_ranges_hold_utcb_and_vcpu_page)
{
	u64 v = beside(), t = obj_new(L4_TYPE_THREAD, 0), cpu = obj_new(L4_TYPE_VCPU, 0);

	for (u64 i = 0; i < sizeof(outside) / 8; i++)
		ERR(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, v, outside[i], 0), RANGE);
	ERR(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, v, L4_GUEST_IMAGE_START, 0), OK);
	for (u64 i = 0; i < sizeof(outside) / 8; i++)
		ERR(INV(t, L4_THREAD_BIND_VCPU, cpu, outside[i]), RANGE);
	ERR(INV(t, L4_THREAD_BIND_VCPU, cpu, L4_GUEST_IMAGE_START), MAPPED);
	ERR(INV(t, L4_THREAD_BIND_VCPU, cpu, L4_GUEST_LINEAR_START), OK);
	/* the place is free again when the thread has gone */
	ERR(slot_delete(t), OK);
	t = obj_new(L4_TYPE_THREAD, 0);
	ERR(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, v, L4_GUEST_IMAGE_START, 0), OK);
	ERR(INV(t, L4_THREAD_BIND_VCPU, cpu, L4_GUEST_LINEAR_START), OK);
}

TEST(x86_guest_errors)
{
	u64 v = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), weak = cap_copy(v, L4_RIGHT_READ);
	u64 f = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS), g = obj_new(L4_TYPE_GUESTSPACE, 0),
	    t = obj_new(L4_TYPE_THREAD, 0);

	CHECK(boot_info->guest_modes & 1UL << L4_GUEST_BESIDE);
	ERR(INV(weak, L4_VSPACE_GUEST, L4_GUEST_BESIDE), RIGHTS);
	ERR(INV(v, L4_VSPACE_GUEST, 2), ARG);
	ERR(INV(v, L4_VSPACE_GUEST, 1UL << 32), ARG);
	ERR(INV(v, L4_VSPACE_GUEST, ALL_ONES), ARG);
	/* in use: by a Frame, a thread, a GuestSpace */
	ERR(MAP(v, f, TEST_VADDR), OK);
	ERR(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE), BUSY);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
	ERR(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, v, UTCB_VADDR, 0), OK);
	ERR(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE), BUSY);
	ERR(slot_delete(t), OK);
	ERR(INV(g, L4_GUESTSPACE_CONFIGURE, v), OK);
	ERR(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE), BUSY);
	ERR(slot_delete(g), OK);
	/* tables that are there already leave too few pages */
	ERR(MAP(v, f, 1UL << 39), OK);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
	ERR(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE), MEMORY);
	ERR(MAP(v, f, L4_GUEST_LINEAR_START), RANGE);
	v = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS);
	ERR(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE), OK);
	ERR(INV(v, L4_VSPACE_GUEST, L4_GUEST_BESIDE), BUSY);
}

/*
 * Detaching memory clears all that was filled, in every range, and nothing of L4's. The first page is filled at the
 * end of the range that has its table in common with L4.
 */
static void loses_memory(struct helper *self)
{
	static const u64 at[] = { L4_GUEST_IMAGE_END - L4_PAGE_SIZE, L4_GUEST_LINEAR_START + (1UL << 38),
	                          L4_GUEST_DYNAMIC_START, L4_GUEST_DYNAMIC_START + (1UL << 39) - L4_PAGE_SIZE };
	static const u64 never[] = { 0xffff800000000000, 0xffffffff80200000, 0xffffffffbfe01000, L4_GUEST_IMAGE_END };
	u64 root = page_new(), value = 0;

	vcpu->kernel_root = root;
	for (u64 i = 0; i < sizeof(at) / 8; i++) {
		table_map(root, at[i], GUEST_RAM, LEAF_KERNEL);
		EQ(arch_try_store(at[i], 5), 0);
	}
	for (u64 i = 0; i < sizeof(never) / 8; i++) {
		table_map(root, never[i], GUEST_RAM, LEAF_KERNEL);
		CHECK(arch_try_load(never[i], &value) != 0 || value != 5);
	}
	/* a flush of everything, and of what ends in the hole */
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, L4_GUEST_IMAGE_START, ALL_ONES), OK);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, 0, ALL_ONES), OK);
	EQ(arch_try_load(at[3], &value), 0);
	EQ(value, 5);
	*table_entry(root, at[2], 0) = 0;
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, at[2], at[2] + L4_PAGE_SIZE), OK);
	EQ(arch_try_load(at[2], &value), 1);
	ERR(INV(shared[11], L4_FRAME_UNMAP), OK);
	for (u64 i = 0; i < sizeof(at) / 8; i++)
		EQ(arch_try_load(at[i], &value), 1);
	shared[12] = 1;
}

static void lose_memory(enum guest_place where)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);

	guest_make_at(loses_memory, where);
	guest_run_losing(page);
}

TEST(x86_guest_loses_memory_in_all_ranges_beside) { lose_memory(GUEST_HIGH); }
TEST(x86_guest_loses_memory_in_all_ranges_above) { lose_memory(GUEST_ABOVE); }
