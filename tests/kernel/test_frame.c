/* SPDX-License-Identifier: GPL-2.0-only */
/* Frame: UNMAP, INFO, rights in the page table, and revoking memory that is mapped. */
#include "harness.h"

#define RW (L4_RIGHT_READ | L4_RIGHT_WRITE)

TEST(frame_info)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 16), f = slots_new(2), base = INV(u, L4_UNTYPED_INFO).m[0];

	MUST(retype(u, L4_TYPE_FRAME, 13, f, 2));
	for (u64 i = 0; i < 2; i++) {
		struct sys r = INV(f + i, L4_FRAME_INFO);

		ERR(r, OK);
		EQ(r.m[0], base + (i << 13));
		EQ(r.m[1], 13);
	}
	ERR(INV(cap_copy(f, L4_RIGHT_WRITE), L4_FRAME_INFO), RIGHTS);
	ERR(INV(f, 2), OP);
	ERR(INV(f, L4_FRAME_UNMAP), UNMAPPED);
}

static void touches(struct helper *self)
{
	volatile u64 *at = (volatile u64 *)self->arg[1];

	if (self->arg[0] == L4_RIGHT_READ)
		shared[1] = *at;
	if (self->arg[0] == L4_RIGHT_WRITE)
		*at = 1;
	if (self->arg[0] == L4_RIGHT_EXEC)
		((void (*)(void))at)();
	shared[2] = 1;
}

/* An access of h's that must fault. */
static void must_fault(u64 access, u64 vaddr, u64 present)
{
	struct helper *h = helper_make(touches, access, 100);
	struct sys r;

	h->arg[1] = vaddr;
	shared[2] = 0;
	helper_start(h);
	r = helper_fault(h);
	EQ(LABEL(r.tag), L4_FAULT_PAGE);
	EQ(r.m[0], vaddr);
	EQ(r.m[1] & access, access);
	EQ(r.m[3], present);
	EQ(shared[2], 0);
	MUST(slot_delete(h->thread));
	helper_forget();
}

TEST(frame_rights_in_the_table)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12);

	EQ(frame_map(f, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
	EQ(*(volatile u64 *)TEST_VADDR, 0);
	must_fault(L4_RIGHT_WRITE, TEST_VADDR, 1);
	must_fault(L4_RIGHT_EXEC, TEST_VADDR, 1);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
	must_fault(L4_RIGHT_READ, TEST_VADDR, 0);
	EQ(frame_map(f, TEST_VADDR, RW), L4_ERR_OK);
	must_fault(L4_RIGHT_EXEC, TEST_VADDR, 1);
}

TEST(frame_revoked_while_mapped)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 22), f = slots_new(3), copy;

	MUST(retype(u, L4_TYPE_FRAME, 12, f, 1));
	MUST(retype(u, L4_TYPE_FRAME, 21, f + 1, 1));
	copy = cap_copy(f, 15);
	EQ(frame_map(f, TEST_VADDR, RW), L4_ERR_OK);
	EQ(frame_map(copy, TEST_VADDR + 0x3000, RW), L4_ERR_OK);
	EQ(frame_map(f + 1, TEST_VADDR + 0x200000, RW), L4_ERR_OK);
	*(volatile u64 *)TEST_VADDR = 1;
	*(volatile u64 *)(TEST_VADDR + 0x200000) = 1;
	ERR(slot_revoke(u), OK);
	must_fault(L4_RIGHT_READ, TEST_VADDR, 0);
	must_fault(L4_RIGHT_READ, TEST_VADDR + 0x3000, 0);
	must_fault(L4_RIGHT_WRITE, TEST_VADDR + 0x200000, 0);
	EQ(INV(u, L4_UNTYPED_INFO).m[2], 1UL << 22);
}

TEST(frame_deleting_one_capability_unmaps_only_its_mapping)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12), copy = cap_copy(f, 15), child = cap_mint(f, L4_RIGHT_READ, 0);

	EQ(frame_map(f, TEST_VADDR, RW), L4_ERR_OK);
	EQ(frame_map(copy, TEST_VADDR + 0x1000, RW), L4_ERR_OK);
	EQ(frame_map(child, TEST_VADDR + 0x2000, L4_RIGHT_READ), L4_ERR_OK);
	*(volatile u64 *)TEST_VADDR = 7;
	EQ(*(volatile u64 *)(TEST_VADDR + 0x2000), 7);
	ERR(slot_revoke(f), OK);
	must_fault(L4_RIGHT_READ, TEST_VADDR + 0x2000, 0);
	EQ(*(volatile u64 *)TEST_VADDR, 7);
	ERR(slot_delete(f), OK);
	must_fault(L4_RIGHT_READ, TEST_VADDR, 0);
	EQ(*(volatile u64 *)(TEST_VADDR + 0x1000), 7);
}

/* The boot image and the kernel's other gifts: Frames of what is there already, never cleared. */
TEST(frame_of_the_boot_image)
{
	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *b = &boot_info->untyped[i];
		u64 f = slot_new(), u = L4_ROOT_SLOT_UNTYPED + i;

		if (b->kind != L4_MEM_IMAGE || b->paddr != boot_info->image_paddr)
			continue;
		MUST(retype(u, L4_TYPE_FRAME, L4_PAGE_BITS, f, 1));
		EQ(frame_map(f, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
		EQ(*(volatile u64 *)TEST_VADDR, L4_IMAGE_MAGIC);
		EQ(INV(f, L4_FRAME_INFO).m[0], boot_info->image_paddr);
		/* it is not memory that a guest may have */
		CHECK(INV(obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), L4_VSPACE_ATTACH, f, 0).error !=
		      L4_ERR_OK);
		ERR(slot_revoke(u), OK);
		must_fault(L4_RIGHT_READ, TEST_VADDR, 0);
		return;
	}
	CHECK(!"an Untyped at the boot image's address");
}

TEST(frame_uncached)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12), copy = cap_copy(f, 15);

	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, f, TEST_VADDR, RW, 1));
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, copy, TEST_VADDR + 0x1000, RW, 0));
	*(volatile u64 *)TEST_VADDR = 21;
	EQ(*(volatile u64 *)(TEST_VADDR + 0x1000), 21);
}

TEST(frame_large_where_small_ones_were)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12), big = obj_new(L4_TYPE_FRAME, L4_LARGE_PAGE_BITS);

	EQ(frame_map(f, TEST_VADDR + 0x3000, RW), L4_ERR_OK);
	*(volatile u64 *)(TEST_VADDR + 0x3000) = 5;
	EQ(frame_map(big, TEST_VADDR, RW), L4_ERR_MAPPED);
	ERR(INV(f, L4_FRAME_UNMAP), OK);
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, big, TEST_VADDR, RW));
	EQ(*(volatile u64 *)(TEST_VADDR + 0x3000), 0);
	EQ(frame_map(f, TEST_VADDR + 0x3000, RW), L4_ERR_MAPPED);
	ERR(INV(big, L4_FRAME_UNMAP), OK);
	EQ(frame_map(f, TEST_VADDR + 0x3000, RW), L4_ERR_OK);
	EQ(*(volatile u64 *)(TEST_VADDR + 0x3000), 5);
}
