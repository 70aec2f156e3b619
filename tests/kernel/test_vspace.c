/* SPDX-License-Identifier: GPL-2.0-only */
/* VSpace: MAP, ATTACH, INFO, and what deletion does to its mappings. */
#include "harness.h"

#define RW                              (L4_RIGHT_READ | L4_RIGHT_WRITE)
#define MAP(v, f, at, rights, uncached) INV(v, L4_VSPACE_MAP, f, at, rights, uncached)

TEST(vspace_map_reads_and_writes)
{
	u64 f = obj_new(L4_TYPE_FRAME, 14), again = cap_copy(f, 15);
	volatile u64 *a = (volatile u64 *)TEST_VADDR, *b = (volatile u64 *)(TEST_VADDR + 0x10000);

	EQ(frame_map(f, (u64)a, RW), L4_ERR_OK);
	EQ(frame_map(again, (u64)b, L4_RIGHT_READ), L4_ERR_OK);
	for (u64 i = 0; i < (1 << 14) / 8; i += 256)
		a[i] = i;
	for (u64 i = 0; i < (1 << 14) / 8; i += 256)
		EQ(b[i], i);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
	EQ(frame_map(f, (u64)a + 0x4000, RW), L4_ERR_OK);
	EQ(a[0x4000 / 8 + 256], 256);
}

TEST(vspace_map_large)
{
	u64 f = obj_new(L4_TYPE_FRAME, 22);
	volatile u64 *a = (volatile u64 *)TEST_VADDR;
	struct sys before;

	EQ(frame_map(f, TEST_VADDR + 0x1000, RW), L4_ERR_ALIGN);
	before = INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_INFO);
	EQ(frame_map(f, TEST_VADDR + 0x800000, RW), L4_ERR_OK);
	/* large pages take no table at the last level */
	CHECK(before.m[1] - INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_INFO).m[1] <= 1);
	a += 0x800000 / 8;
	a[0] = 1;
	a[(1 << 22) / 8 - 1] = 2;
	EQ(a[0] + a[(1 << 22) / 8 - 1], 3);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
}

TEST(vspace_map_errors_change_nothing)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12), g = obj_new(L4_TYPE_FRAME, 12), big = obj_new(L4_TYPE_FRAME, 21);
	u64 v = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), weak = cap_copy(v, L4_RIGHT_READ);
	u64 read_only = cap_copy(f, L4_RIGHT_READ), run = obj_new(L4_TYPE_FRAME, 13);

	ERR(MAP(v, 4000, TEST_VADDR, RW, 0), CAP);
	ERR(MAP(v, v, TEST_VADDR, RW, 0), TYPE);
	ERR(MAP(weak, f, TEST_VADDR, RW, 0), RIGHTS);
	ERR(MAP(v, read_only, TEST_VADDR, RW, 0), RIGHTS);
	ERR(MAP(v, read_only, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_EXEC, 0), RIGHTS);
	ERR(MAP(v, f, TEST_VADDR + 1, RW, 0), ALIGN);
	ERR(MAP(v, f, TEST_VADDR + 0x800, RW, 0), ALIGN);
	ERR(MAP(v, big, TEST_VADDR + 0x1000, RW, 0), ALIGN);
	ERR(MAP(v, f, L4_USER_TOP, RW, 0), RANGE);
	ERR(MAP(v, run, L4_USER_TOP - L4_PAGE_SIZE, RW, 0), RANGE);
	ERR(MAP(v, f, 0xffffffff80000000, RW, 0), RANGE);
	ERR(MAP(v, f, ~0xfffUL, RW, 0), RANGE);
	ERR(MAP(v, f, 1UL << 48, RW, 0), RANGE);
	ERR(MAP(v, f, TEST_VADDR, 0, 0), ARG);
	ERR(MAP(v, f, TEST_VADDR, L4_RIGHT_WRITE, 0), ARG);
	ERR(MAP(v, f, TEST_VADDR, 16 | RW, 0), ARG);
	ERR(MAP(v, f, TEST_VADDR, RW, 2), ARG);
	ERR(INV(v, 4), OP);
	ERR(INV(f, L4_FRAME_UNMAP), UNMAPPED);
	EQ(INV(v, L4_VSPACE_INFO).m[0], INV(v, L4_VSPACE_INFO).m[1]);
	ERR(MAP(v, f, TEST_VADDR, RW, 0), OK);
	ERR(MAP(v, f, TEST_VADDR + 0x1000, RW, 0), MAPPED);   /* the capability is in use */
	ERR(MAP(v, g, TEST_VADDR, RW, 0), MAPPED);            /* the address is */
	ERR(MAP(v, run, TEST_VADDR - 0x1000, RW, 0), MAPPED); /* a part of it is */
	ERR(MAP(v, big, TEST_VADDR, RW, 0), MAPPED);
	ERR(INV(run, L4_FRAME_UNMAP), UNMAPPED);
	ERR(INV(big, L4_FRAME_UNMAP), UNMAPPED);
	ERR(MAP(v, g, TEST_VADDR + 0x1000, RW, 0), OK);
	ERR(MAP(v, big, TEST_VADDR + 0x200000, RW, 0), OK);
	ERR(MAP(v, run, TEST_VADDR + 0x201000, RW, 0), MAPPED); /* inside a large page */
	ERR(INV(cap_copy(v, L4_RIGHT_WRITE), L4_VSPACE_INFO), RIGHTS);
}

/* MAP fails with MEMORY when the pool is empty, and earlier mappings stay. */
TEST(vspace_pool_ends)
{
	u64 v = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), f = slots_new(16), mapped = 0;

	MUST(retype(test_untyped, L4_TYPE_FRAME, 12, f, 16));
	for (u64 i = 0; i < 16; i++) {
		struct sys r = MAP(v, f + i, i << 30, RW, 0);

		if (r.error) {
			EQ(r.error, L4_ERR_MEMORY);
			break;
		}
		mapped++;
	}
	CHECK(mapped > 0 && mapped < 16);
	CHECK(INV(v, L4_VSPACE_INFO).m[0] <= 6);
	for (u64 i = 0; i < 16; i++)
		EQ(INV(f + i, L4_FRAME_UNMAP).error, i < mapped ? L4_ERR_OK : L4_ERR_UNMAPPED);
	/* the tables that exist take more mappings */
	ERR(MAP(v, f, 0x1000, RW, 0), OK);
}

TEST(vspace_highest_and_lowest_address)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12), g = obj_new(L4_TYPE_FRAME, 12);
	volatile u64 *top;
	u64 end = L4_USER_TOP;

	/* The machine may have fewer bits of address than its architecture. */
	while (frame_map(f, end - 3 * L4_PAGE_SIZE, RW) == L4_ERR_RANGE)
		end /= 2;
	top = (volatile u64 *)(end - 3 * L4_PAGE_SIZE);
	*top = 1;
	EQ(*top, 1);
	EQ(frame_map(g, 0, RW), L4_ERR_OK);
	ERR(INV(g, L4_FRAME_UNMAP), OK);
}

TEST(vspace_attach)
{
	u64 v = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), f = obj_new(L4_TYPE_FRAME, 14);
	u64 other = obj_new(L4_TYPE_FRAME, 12), weak = cap_copy(f, L4_RIGHT_READ | L4_RIGHT_WRITE);
	u64 many = slots_new(L4_GUEST_REGIONS + 1);
	u32 i = 0;

#define ATTACH(f, gpa) INV(v, L4_VSPACE_ATTACH, f, gpa)
	ERR(ATTACH(4000, 0), CAP);
	ERR(ATTACH(v, 0), TYPE);
	ERR(ATTACH(weak, 0), RIGHTS);
	ERR(INV(cap_copy(v, L4_RIGHT_READ), L4_VSPACE_ATTACH, f, 0), RIGHTS);
	ERR(ATTACH(f, 0x800), ALIGN);
	/* the kernel reads a guest's memory by its own mapping, which has RAM only */
	while (i < boot_info->untyped_count && boot_info->untyped[i].kind == L4_MEM_RAM)
		i++;
	if (CHECK(i < boot_info->untyped_count)) {
		u64 no_ram = slot_new();

		MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, boot_info->untyped[i].size_bits, no_ram, 1));
		ERR(ATTACH(no_ram, 1UL << 40), ARG);
		ERR(slot_delete(no_ram), OK);
		ERR(slot_revoke(L4_ROOT_SLOT_UNTYPED + i), OK);
	}
	ERR(ATTACH(f, 0x10000), OK);
	ERR(ATTACH(f, 0x20000), MAPPED);
	ERR(MAP(v, f, TEST_VADDR, RW, 0), MAPPED);
	ERR(ATTACH(other, 0x10000), BUSY);
	ERR(ATTACH(other, 0x13000), BUSY);
	ERR(ATTACH(other, 0x14000), OK);
	ERR(INV(other, L4_FRAME_UNMAP), OK);
	ERR(ATTACH(other, 0xf000), OK);
	ERR(INV(other, L4_FRAME_UNMAP), OK);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
	ERR(INV(f, L4_FRAME_UNMAP), UNMAPPED);
	ERR(ATTACH(f, ~0xfffUL), RANGE);
	ERR(ATTACH(f, (u64)L4_PTE_ADDR_MASK), RANGE);
	MUST(retype(test_untyped, L4_TYPE_FRAME, 12, many, L4_GUEST_REGIONS + 1));
	for (u64 i = 0; i < L4_GUEST_REGIONS; i++)
		ERR(ATTACH(many + i, i << 20), OK);
	ERR(ATTACH(many + L4_GUEST_REGIONS, 1UL << 30), MEMORY);
	ERR(slot_delete(many + 3), OK); /* deleting detaches */
	ERR(ATTACH(many + L4_GUEST_REGIONS, 1UL << 30), OK);
}

static void loads(struct helper *self)
{
	shared[1] = *(volatile u64 *)TEST_VADDR;
	*(volatile u64 *)(TEST_VADDR + 8) = shared[1] + 1;
}

TEST(vspace_same_frame_in_two_spaces)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12), copy = cap_copy(f, 15);
	struct helper *h = helper_fork(loads, 0, 100);

	ERR(MAP(h->vspace, copy, TEST_VADDR, RW, 0), OK);
	EQ(frame_map(f, TEST_VADDR + 0x5000, RW), L4_ERR_OK);
	*(volatile u64 *)(TEST_VADDR + 0x5000) = 1234;
	helper_start(h);
	helper_join(h);
	EQ(shared[1], 1234);
	EQ(*(volatile u64 *)(TEST_VADDR + 0x5008), 1235);
}

TEST(vspace_deleted_unmaps_its_frames)
{
	u64 v = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), f = obj_new(L4_TYPE_FRAME, 12);
	u64 attached = obj_new(L4_TYPE_FRAME, 12);

	ERR(MAP(v, f, TEST_VADDR, RW, 0), OK);
	ERR(INV(v, L4_VSPACE_ATTACH, attached, 0), OK);
	ERR(slot_delete(v), OK);
	ERR(INV(f, L4_FRAME_UNMAP), UNMAPPED);
	ERR(INV(attached, L4_FRAME_UNMAP), UNMAPPED);
	EQ(frame_map(f, TEST_VADDR, RW), L4_ERR_OK);
	*(volatile u64 *)TEST_VADDR = 1;
}
