/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * L4 remembers where the guest's tables of the last level are, as a CPU does, and its own. Each test changes one of them,
 * or what is in it.
 */
#include "guest.h"

#define S0    guest.space[0]
#define S1    guest.space[1]
#define LARGE (1UL << L4_LARGE_PAGE_BITS)

static void set(u64 gpa, u64 value) { *(volatile u64 *)gp(gpa) = value; }

/* A page that begins with this value. */
static u64 page_of(u64 value)
{
	u64 page = page_new();

	set(page, value);
	return page;
}

/* A new table for the 2 MiB at vaddr, which maps the same page at each address. */
static void new_table(u64 vaddr, u64 page)
{
	u64 table = page_new();

	for (u64 i = 0; i < 512; i++)
		set(table + i * 8, page | LEAF_RW | L4_PTE_ACCESSED);
	*table_entry(user_root, vaddr, 1) = table | L4_PTE_VALID;
}

static void loads(u64 space, u64 vaddr, u64 wanted)
{
	u64 value;

	CHECK(user_load(space, vaddr, &value));
	EQ(value, wanted);
}

GUEST_TEST(tables_that_are_flushed_are_forgotten)
{
	u64 a = page_of(1), b = page_of(2);

	for (u64 i = 0; i < 7; i++) {
		u64 vaddr = DATA_VADDR + i * LARGE, end = vaddr + LARGE;

		new_table(vaddr, a);
		/* the miss fills in 16 pages */
		loads(S0, vaddr, 1);
		new_table(vaddr, b);
		if (i == 0) /* any address of the table does */
			flush(S0, L4_FLUSH_RANGE, end - L4_PAGE_SIZE, end);
		if (i == 1)
			flush(S0, L4_FLUSH_RANGE, vaddr - LARGE, vaddr + 1);
		if (i == 2)
			flush(S0, L4_FLUSH_RANGE, end - 1, end + 1);
		if (i == 3)
			flush(S0, L4_FLUSH_RANGE, 0, L4_USER_TOP);
		if (i == 4)
			flush(S0, L4_FLUSH_ROOT, user_root, 0);
		if (i == 5)
			ERR(INV(S0, L4_GUESTSPACE_FLUSH, vaddr + 0x9000, vaddr + 0xa000), OK);
		if (i == 6)
			ERR(INV(S0, L4_GUESTSPACE_SET_ROOT, user_root), OK);
		loads(S0, vaddr + 0x20000, 2);
	}
}

/* The same by a fault of which the guest has the entry, and by hints of one page and of several. */
GUEST_TEST(tables_that_are_flushed_are_forgotten_by_hints)
{
	u64 a = page_of(1), b = page_of(2);

	for (u64 i = 0; i < 3; i++) {
		u64 vaddr = DATA_VADDR + i * LARGE;

		new_table(vaddr, a);
		loads(S0, vaddr, 1);
		new_table(vaddr, b);
		flush(S0, L4_FLUSH_RANGE, vaddr, vaddr + L4_PAGE_SIZE);
		vcpu->hint_space = S0;
		vcpu->hint_addr = vaddr + 0x20000;
		vcpu->hint_count = i == 2 ? 8 : 1;
		vcpu->hint_access = i == 1 ? L4_RIGHT_READ : 0;
		loads(S0, vaddr + 0x20000, 2);
	}
}

/* A hint of one page, and of several in two tables, known and not: their translations are there without a miss. */
GUEST_TEST(tables_that_hints_are_filled_from)
{
	u64 page = page_of(3);

	for (u64 i = 0; i < 4; i++) {
		u64 end = DATA_VADDR + (2 * i + 1) * LARGE, start = end - 4 * L4_PAGE_SIZE, count = i & 1 ? 8 : 1;

		new_table(start, page);
		new_table(end, page);
		if (i & 2) {
			loads(S0, end - LARGE, 3);
			loads(S0, end + LARGE / 2, 3);
		}
		vcpu->hint_space = S0;
		vcpu->hint_addr = start;
		vcpu->hint_count = count;
		user_call(PROGRAM(load), CODE_VADDR, 0);
		EQ(enter(S0), L4_EXIT_SYSCALL);
		for (u64 k = 0; k < count; k++)
			*table_entry(user_root, start + k * L4_PAGE_SIZE, 0) = 0;
		for (u64 k = 0; k < count; k++)
			loads(S0, start + k * L4_PAGE_SIZE, 3);
	}
}

/* The entries of a table that is known are read at each fault. */
GUEST_TEST(tables_that_are_known_may_change)
{
	static const u64 bad[] = { 0, LEAF_RW & ~(u64)L4_PTE_VALID, LEAF_RW & ~(u64)L4_PTE_LEAF,
	                           LEAF_RW & ~(u64)L4_PTE_USER, LEAF_RW & ~(u64)L4_PTE_READ & ~(u64)L4_PTE_WRITE };
	const u64 both = L4_PTE_VALID | L4_PTE_LEAF;
	u64 page = page_of(4), vaddr = DATA_VADDR + 0x10000, value;

	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	loads(S0, DATA_VADDR, 4);
	for (u64 i = 0; i < sizeof(bad) / 8; i++, vaddr += L4_PAGE_SIZE) {
		table_map(user_root, vaddr, page, bad[i]);
		CHECK(!user_load(S0, vaddr, &value));
		EQ(vcpu->fault_present, (bad[i] & both) == both);
		table_map(user_root, vaddr, page, LEAF_RW & ~(u64)L4_PTE_WRITE);
		loads(S0, vaddr, 4);
		EQ(*table_entry(user_root, vaddr, 0), page | L4_PTE_ACCESSED | (LEAF_RW & ~(u64)L4_PTE_WRITE));
		CHECK(!user_store(S0, vaddr + 8, 5));
		table_map(user_root, vaddr, page, LEAF_RW);
		CHECK(user_store(S0, vaddr + 8, 5));
	}
	/* not the guest's memory */
	table_map(user_root, vaddr, 0x4000000000, LEAF_RW);
	CHECK(!user_load(S0, vaddr, &value));
	EQ(vcpu->fault_present, 1);
}

/* Few are known at a time: whatever the distance of two addresses, the table of one is not taken for the other's. */
GUEST_TEST(tables_of_other_addresses_are_others)
{
	u64 page[16];

	for (u64 n = 0; n < 16; n++)
		page[n] = page_of(n);
	for (u64 round = 0; round < 3; round++) {
		for (u64 n = 0; n < 16; n++) {
			u64 vaddr = DATA_VADDR + (1UL << n) * LARGE + round * 0x10000;

			table_map(user_root, vaddr, page[n], LEAF_RW);
			loads(S0, vaddr, n);
		}
	}
}

/* Two spaces that take each other's tables from the pool. Each access is of a page that was not filled in. */
static void spaces_without_room(struct helper *self)
{
	u64 page = page_of(6), table;

	new_table(DATA_VADDR, page);
	table = *table_entry(user_root, DATA_VADDR, 1);
	for (u64 i = 0; i < 96; i++)
		*table_entry(user_root, DATA_VADDR + i * LARGE, 1) = table;
	for (u64 i = 0; i < 96; i++) {
		u64 behind = i % 32 * 0x10000;

		loads(S0, DATA_VADDR + behind, 6);
		loads(S1, DATA_VADDR + behind, 6);
		for (u64 k = 0; k < 4; k++)
			loads(S1, DATA_VADDR + (i + k) % 96 * LARGE + behind + L4_PAGE_SIZE, 6);
	}
	shared[12] = 1;
}

GUEST_SCENE(tables_of_spaces_without_room)
{
	fork_bits = 17;
	guest_make(spaces_without_room);
	CHECK(INV(guest.helper->vspace, L4_VSPACE_INFO).m[0] < 96);
	guest_run();
	EQ(shared[12], 1);
}

/* The table is in a page that the guest loses. */
static void table_in_a_page(struct helper *self)
{
	u64 page = page_of(7), at = DATA_VADDR + LARGE, value;

	table_map(user_root, at, GUEST_RAM, LEAF_RW);
	CHECK(user_store(S0, at, page | LEAF_RW));
	CHECK(user_store(S0, at + 16 * 8, page | LEAF_RW));
	CHECK(user_store(S0, at + 32 * 8, page | LEAF_RW));
	*table_entry(user_root, DATA_VADDR, 1) = GUEST_RAM | L4_PTE_VALID;
	loads(S0, DATA_VADDR, 7);
	loads(S0, DATA_VADDR + 16 * L4_PAGE_SIZE, 7);
	ERR(INV(shared[11], L4_FRAME_UNMAP), OK);
	CHECK(!user_load(S0, DATA_VADDR + 32 * L4_PAGE_SIZE, &value));
	EQ(vcpu->fault_present, 0);
	vcpu->hint_space = S0;
	vcpu->hint_addr = DATA_VADDR;
	vcpu->hint_count = 1;
	CHECK(!user_load(S0, DATA_VADDR, &value));
	shared[12] = 1;
}

GUEST_SCENE(tables_in_memory_that_has_gone)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);

	guest_make(table_in_a_page);
	guest_run_losing(page);
}
