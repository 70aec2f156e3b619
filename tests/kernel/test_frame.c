/* SPDX-License-Identifier: GPL-2.0-only */
/* Frame: UNMAP, INFO, LOAD, STORE, rights in the page table, and revoking memory that is mapped. */
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
	ERR(INV(f, 4), OP);
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

/* Makes an access in a helper, and checks that it faults. */
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

/* A Frame of the boot image has its content: L4 never clears it. */
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
		/* it cannot be attached as guest memory */
		CHECK(INV(obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), L4_VSPACE_ATTACH, f, 0).error != L4_ERR_OK);
		ERR(slot_revoke(u), OK);
		must_fault(L4_RIGHT_READ, TEST_VADDR, 0);
		return;
	}
	CHECK(!"an Untyped at the boot image's address");
}

/* RAM cannot be mapped uncached: what L4 has cleared may still be in the cache. */
TEST(frame_of_ram_is_never_uncached)
{
	u64 f = obj_new(L4_TYPE_FRAME, 12);

	ERR(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, f, TEST_VADDR, RW, 1), ARG);
	must_fault(L4_RIGHT_READ, TEST_VADDR, 0);
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, f, TEST_VADDR, RW, 0));
	EQ(*(volatile u64 *)TEST_VADDR, 0);
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

/* Makes a Frame of the whole device Untyped that contains paddr. */
static u64 device_frame(u64 paddr, u64 *untyped, u64 *offset)
{
	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *b = &boot_info->untyped[i];
		u64 f = slot_new();

		if (b->kind != L4_MEM_DEVICE || paddr < b->paddr || paddr - b->paddr >= 1UL << b->size_bits)
			continue;
		*untyped = L4_ROOT_SLOT_UNTYPED + i;
		*offset = paddr - b->paddr;
		MUST(retype(*untyped, L4_TYPE_FRAME, b->size_bits, f, 1));
		return f;
	}
	CHECK(!"a device Untyped with the address");
	finish_test();
}

TEST(frame_load_and_store)
{
	u64 untyped, at, nobody, f = device_frame(ARCH_REGISTER_PADDR, &untyped, &at);
	u64 old = INV(f, L4_FRAME_LOAD, at, ARCH_REGISTER_WIDTHS & 4 ? 4 : 1).m[0];

	nobody = at + ARCH_NOBODY_PADDR - ARCH_REGISTER_PADDR;
	for (u64 width = 1; width <= 4; width *= 2) {
		u64 mask = ARCH_REGISTER_MASK & ((1UL << width * 8) - 1);
		struct sys r;

		if (!(ARCH_REGISTER_WIDTHS & width))
			continue;
		for (u64 value = 0x5a965a965a965a96; value != 0x5a965a965a965a96 + 3; value++) {
			ERR(INV(f, L4_FRAME_STORE, at, width, value & ARCH_REGISTER_MASK), OK);
			r = INV(f, L4_FRAME_LOAD, at, width);
			ERR(r, OK);
			EQ(r.m[0], value & mask);
		}
		/* an access to an address without a device, in between: the kernel returns an error, and later accesses work */
		EQ(INV(f, L4_FRAME_LOAD, nobody, 4).error, ARCH_NOBODY_ERROR);
		EQ(INV(f, L4_FRAME_STORE, nobody, 4, 0).error, ARCH_NOBODY_ERROR);
		EQ(INV(f, L4_FRAME_LOAD, at, width).m[0], r.m[0]);
	}
	ERR(INV(f, L4_FRAME_STORE, at, ARCH_REGISTER_WIDTHS & 4 ? 4 : 1, old), OK);
	ERR(slot_revoke(untyped), OK);
}

/* Loads of each width, from the firmware's table: that is memory, and its Untyped is of the kind for devices. */
TEST(frame_loads_of_each_width)
{
	u64 untyped, at, f = device_frame(boot_info->firmware_table, &untyped, &at), page = at & -L4_PAGE_SIZE;
	u64 size = 1UL << INV(f, L4_FRAME_INFO).m[1];

	EQ(frame_map(f, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
	for (u64 width = 1; width <= 4; width *= 2)
		for (u64 offset = page; offset < page + L4_PAGE_SIZE; offset += 60) {
			u64 want = 0;

			memcpy(&want, (void *)(TEST_VADDR + offset), width);
			EQ(INV(f, L4_FRAME_LOAD, offset, width).m[0], want);
		}
	EQ(INV(f, L4_FRAME_LOAD, size - 4, 4).error, L4_ERR_OK);
	ERR(INV(f, L4_FRAME_LOAD, size, 4), RANGE);
	ERR(slot_revoke(untyped), OK);
}

TEST(frame_load_and_store_errors)
{
	u64 untyped, at, f = device_frame(ARCH_REGISTER_PADDR, &untyped, &at), ram = obj_new(L4_TYPE_FRAME, 12);

	at &= ~7UL;
	ERR(INV(f, L4_FRAME_LOAD, at, 0), ARG);
	ERR(INV(f, L4_FRAME_LOAD, at, 3), ARG);
	ERR(INV(f, L4_FRAME_LOAD, at, 8), ARG);
	ERR(INV(f, L4_FRAME_STORE, at, ~0UL, 0), ARG);
	ERR(INV(f, L4_FRAME_LOAD, at + 1, 2), ALIGN);
	ERR(INV(f, L4_FRAME_LOAD, at + 2, 4), ALIGN);
	ERR(INV(f, L4_FRAME_STORE, at + 3, 4, 0), ALIGN);
	ERR(INV(f, L4_FRAME_LOAD, ~0UL, 1), RANGE);
	ERR(INV(f, L4_FRAME_STORE, -4UL, 4, 0), RANGE);
	ERR(INV(cap_copy(f, L4_RIGHT_WRITE), L4_FRAME_LOAD, at, 4), RIGHTS);
	ERR(INV(cap_copy(f, L4_RIGHT_READ), L4_FRAME_STORE, at, 4, 0), RIGHTS);
	/* memory has no registers */
	ERR(INV(ram, L4_FRAME_LOAD, 0, 4), ARG);
	ERR(INV(ram, L4_FRAME_STORE, 0, 4, 0), ARG);
	ERR(slot_revoke(untyped), OK);
}
