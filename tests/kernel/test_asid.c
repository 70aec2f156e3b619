/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Address-space identifiers. On aarch64 they are a hash of the table's address, on riscv64 there are too few. No stale
 * translation may remain where spaces share one, where a space changes that is not in use, and where a table's memory
 * becomes another table.
 */
#include "guest.h"

#define SPACES 1100 /* more than there are ASIDs, and enough that each of the first has another with its own */
#define FIRST  6

static void alternates(struct helper *self)
{
	u64 other = table_new(), a = page_new(), b = page_new(), value = 0, spaces = shared[4];

	table_map(user_root, DATA_VADDR, a, LEAF_RW);
	table_map(other, DATA_VADDR, b, LEAF_RW);
	*(u64 *)gp(a) = 1;
	*(u64 *)gp(b) = 2;
	for (u64 i = 0; i < SPACES; i++)
		ERR(INV(spaces + i, L4_GUESTSPACE_SET_ROOT, i < FIRST ? user_root : other), OK);
	for (u64 first = 0; first < FIRST; first++) {
		for (u64 i = FIRST; i < SPACES; i++) {
			if (!CHECK(user_load(spaces + first, DATA_VADDR, &value)) || !EQ(value, 1) ||
			    !CHECK(user_load(spaces + i, DATA_VADDR, &value)) || !EQ(value, 2))
				return;
		}
	}
	shared[1] = 1;
}

TEST(asid_more_spaces_than_asids)
{
	u64 spaces = slots_new(SPACES);

	guest_make(alternates);
	MUST(retype(test_untyped, L4_TYPE_GUESTSPACE, 0, spaces, SPACES));
	for (u64 i = 0; i < SPACES; i++)
		MUST(INV(spaces + i, L4_GUESTSPACE_CONFIGURE, guest.helper->vspace));
	shared[4] = spaces;
	guest_run();
	EQ(shared[1], 1);
}

/* Changes a space while another runs: the change must be seen when the first is entered again. */
GUEST_TEST(asid_flush_of_a_space_that_is_not_in_use)
{
	u64 other = table_new(), a = page_new(), b = page_new(), value = 0;

	ERR(INV(guest.space[1], L4_GUESTSPACE_SET_ROOT, other), OK);
	*(u64 *)gp(a) = 1;
	*(u64 *)gp(b) = 2;
	for (u64 round = 0; round < 8; round++) {
		table_map(user_root, DATA_VADDR, round & 1 ? b : a, LEAF_RW);
		flush(guest.space[0], L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
		CHECK(user_load(guest.space[1], CODE_VADDR, &value));
		CHECK(user_load(guest.space[0], DATA_VADDR, &value));
		EQ(value, round & 1 ? 2 : 1);
		CHECK(user_store(guest.space[0], DATA_VADDR, value));
		/* read-only from now on: must fault, although the writable translation was just used */
		*table_entry(user_root, DATA_VADDR, 0) &= ~(u64)L4_PTE_WRITE;
		flush(guest.space[0], L4_FLUSH_PROTECT, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
		CHECK(user_load(guest.space[1], CODE_VADDR, &value));
		CHECK(!user_store(guest.space[0], DATA_VADDR, 9));
	}
	/* the same by an invocation, and by a new root */
	table_map(other, DATA_VADDR, b, LEAF_RW);
	CHECK(user_load(guest.space[0], DATA_VADDR, &value));
	EQ(value, 2);
	table_map(user_root, DATA_VADDR, a, LEAF_RW);
	ERR(INV(guest.space[0], L4_GUESTSPACE_FLUSH, DATA_VADDR, DATA_VADDR + 1), OK);
	CHECK(user_load(guest.space[0], DATA_VADDR, &value));
	EQ(value, 1);
	flush(guest.space[0], L4_FLUSH_ROOT, other, 0);
	CHECK(user_load(guest.space[0], DATA_VADDR, &value));
	EQ(value, 2);
}

static void reads(struct helper *self)
{
	shared[2] = *(volatile u64 *)(TEST_VADDR + 0x400000);
	shared[1]++;
}

/* A VSpace in the memory of a deleted one has the same root table, and so the same ASID. */
TEST(asid_memory_of_a_deleted_vspace)
{
	u64 all = test_untyped, part = obj_new(L4_TYPE_UNTYPED, 23), frame[2];

	for (u64 i = 0; i < 2; i++) {
		frame[i] = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);
		EQ(frame_map(frame[i], TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK);
		*(volatile u64 *)TEST_VADDR = 100 + i;
		MUST(INV(frame[i], L4_FRAME_UNMAP));
	}
	for (u64 round = 0; round < 6; round++) {
		struct helper *h;
		u64 copy;

		test_untyped = part;
		h = helper_fork(reads, 0, 100);
		test_untyped = all;
		copy = cap_copy(frame[round & 1], L4_RIGHT_READ);
		MUST(INV(h->vspace, L4_VSPACE_MAP, copy, TEST_VADDR + 0x400000, L4_RIGHT_READ));
		helper_start(h);
		helper_join(h);
		EQ(shared[2], 100 + (round & 1));
		helper_forget();
		ERR(slot_delete(copy), OK);
		ERR(slot_revoke(part), OK);
	}
	EQ(shared[1], 6);
}
