/* SPDX-License-Identifier: GPL-2.0-only */
/* GuestSpace: filling from the guest's tables, accessed and dirty bits, flushes, hints, eviction, configuration. */
#include "guest.h"

#define S0 guest.space[0]
#define S1 guest.space[1]

static u64 word(u64 gpa) { return *(volatile u64 *)gp(gpa); }

static void set(u64 gpa, u64 value) { *(volatile u64 *)gp(gpa) = value; }

GUEST_TEST(space_accessed_and_dirty_bits)
{
	u64 page = page_new(), value;
	volatile u64 *leaf;

	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	leaf = table_entry(user_root, DATA_VADDR, 0);
	set(page, 11);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 11);
	EQ(*leaf, page | LEAF_RW | L4_PTE_ACCESSED);
	CHECK(user_store(S0, DATA_VADDR + 8, 12));
	EQ(*leaf, page | LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY);
	EQ(word(page + 8), 12);
	/* a first access that writes sets both, and keeps the bits that are the guest's own */
	table_map(user_root, DATA_VADDR + 0x1000, page, LEAF_RW | 1UL << 9 | 1UL << 62);
	leaf = table_entry(user_root, DATA_VADDR + 0x1000, 0);
	CHECK(user_store(S0, DATA_VADDR + 0x1000, 13));
	EQ(*leaf, page | LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY | 1UL << 9 | 1UL << 62);
	EQ(word(page), 13);
	/* a clean page stays read-only until written: cleaning it by PROTECT makes the next write visible */
	*leaf &= ~(u64)L4_PTE_DIRTY;
	flush(S0, L4_FLUSH_PROTECT, DATA_VADDR + 0x1000, DATA_VADDR + 0x2000);
	CHECK(user_load(S0, DATA_VADDR + 0x1000, &value));
	CHECK(!(*leaf & L4_PTE_DIRTY));
	CHECK(user_store(S0, DATA_VADDR + 0x1000, 14));
	CHECK(*leaf & L4_PTE_DIRTY);
	/* executing sets ACCESSED too */
	CHECK(*table_entry(user_root, CODE_VADDR, 0) & L4_PTE_ACCESSED);
	CHECK(!(*table_entry(user_root, CODE_VADDR, 0) & L4_PTE_DIRTY));
}

GUEST_TEST(space_needs_valid_user_and_the_right)
{
	static const u64 no_load[] = { 0, L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_READ, LEAF_RW & ~(u64)L4_PTE_VALID,
	                               LEAF_RW & ~(u64)L4_PTE_USER, LEAF_RW & ~(u64)L4_PTE_LEAF };
	u64 page = page_new(), value;

	for (u64 i = 0; i < sizeof(no_load) / 8; i++) {
		u64 vaddr = DATA_VADDR + i * L4_PAGE_SIZE;
		u64 leaf = page | no_load[i];

		table_map(user_root, vaddr, page, no_load[i]);
		CHECK(!user_load(S0, vaddr, &value));
		EQ(*table_entry(user_root, vaddr, 0), leaf); /* a refused access sets no bit */
		CHECK(!user_store(S0, vaddr, 1));
		EQ(*table_entry(user_root, vaddr, 0), leaf);
	}
	table_map(user_root, DATA_VADDR, page, LEAF_RW & ~(u64)L4_PTE_WRITE);
	CHECK(user_load(S0, DATA_VADDR, &value));
	CHECK(!user_store(S0, DATA_VADDR, 1));
	EQ(vcpu->fault_present, 1);
	EQ(word(page), 0);
	CHECK(!(*table_entry(user_root, DATA_VADDR, 0) & L4_PTE_DIRTY));
	/* no execution without EXEC, although the same page is executable elsewhere */
	table_map(user_root, DATA_VADDR, CODE_GPA, LEAF_RW);
	flush(S0, L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
	user_call(DATA_VADDR - CODE_VADDR, CODE_VADDR, 0);
	EQ(enter(S0), L4_EXIT_FAULT);
	EQ(vcpu->fault_access & L4_RIGHT_EXEC, L4_RIGHT_EXEC);
}

GUEST_TEST(space_large_leaf)
{
	u64 value, leaf = LARGE_GPA | LEAF_RW;
	volatile u64 *entry = table_entry(user_root, DATA_VADDR, 1);

	*entry = leaf;
	set(LARGE_GPA + 0x1ff008, 5);
	CHECK(user_load(S0, DATA_VADDR + 0x1ff008, &value));
	EQ(value, 5);
	EQ(*entry, leaf | L4_PTE_ACCESSED);
	CHECK(user_store(S0, DATA_VADDR + 0x10000, 6));
	EQ(word(LARGE_GPA + 0x10000), 6);
	EQ(*entry, leaf | L4_PTE_ACCESSED | L4_PTE_DIRTY);
	*entry = 0;
	flush(S0, L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + 0x200000);
	CHECK(!user_load(S0, DATA_VADDR + 0x1ff008, &value));
	CHECK(!user_load(S0, DATA_VADDR + 0x10000, &value));
	/* the format has no leaves at higher levels */
	*table_entry(user_root, DATA_VADDR + (1UL << 30), 2) = 0 | LEAF_RW;
	CHECK(!user_load(S0, DATA_VADDR + (1UL << 30), &value));
	*table_entry(user_root, 1UL << 39, 3) = 0 | LEAF_RW;
	CHECK(!user_load(S0, 1UL << 39, &value));
}

/*
 * A guest may replace a read-only leaf by a writable one without a flush: the next write faults, and fills the new
 * one.
 */
GUEST_TEST(space_leaf_that_changes_its_page)
{
	u64 a = page_new(), b = page_new(), value;

	set(a, 1);
	set(b, 2);
	table_map(user_root, DATA_VADDR, a, LEAF_RW & ~(u64)L4_PTE_WRITE);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 1);
	table_map(user_root, DATA_VADDR, b, LEAF_RW);
	CHECK(user_store(S0, DATA_VADDR, 3));
	EQ(word(a), 1);
	EQ(word(b), 3);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 3);
}

/* A large leaf at addresses for which L4 still has a table of small ones is filled page by page. */
GUEST_TEST(space_large_leaf_after_small_ones)
{
	u64 page = page_new(), value;
	volatile u64 *entry = table_entry(user_root, DATA_VADDR, 1);

	set(page, 1);
	table_map(user_root, DATA_VADDR + 0x3000, page, LEAF_RW);
	CHECK(user_load(S0, DATA_VADDR + 0x3000, &value));
	EQ(value, 1);
	*entry = LARGE_GPA | LEAF_RW;
	flush(S0, L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + 0x200000);
	set(LARGE_GPA + 0x3000, 2);
	set(LARGE_GPA + 0x1ff000, 4);
	CHECK(user_load(S0, DATA_VADDR + 0x3000, &value));
	EQ(value, 2);
	CHECK(user_load(S0, DATA_VADDR + 0x1ff000, &value));
	EQ(value, 4);
	CHECK(user_store(S0, DATA_VADDR + 0x3000, 5));
	EQ(word(LARGE_GPA + 0x3000), 5);
}

GUEST_TEST(space_flush_range_forgets)
{
	u64 a = page_new(), b = page_new(), value;

	set(a, 1);
	set(b, 2);
	for (u64 i = 0; i < 4; i++) {
		u64 vaddr = DATA_VADDR + i * L4_PAGE_SIZE;

		table_map(user_root, vaddr, a, LEAF_RW);
		CHECK(user_store(S0, vaddr, 1));
		table_map(user_root, vaddr, b, LEAF_RW);
		/* by queue on the next enter; by VCPU_FLUSH; by invocation; by a range that only touches the
		 * page */
		if (i == 0)
			flush(S0, L4_FLUSH_RANGE, vaddr, vaddr + L4_PAGE_SIZE);
		if (i == 1) {
			flush(S0, L4_FLUSH_RANGE, vaddr, vaddr + L4_PAGE_SIZE);
			ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0), OK);
			EQ(vcpu->flush_count, 0);
		}
		if (i == 2)
			ERR(INV(S0, L4_GUESTSPACE_FLUSH, vaddr, vaddr + L4_PAGE_SIZE), OK);
		if (i == 3)
			flush(S0, L4_FLUSH_RANGE, vaddr - 0x100000, L4_USER_TOP);
		CHECK(user_load(S0, vaddr, &value));
		EQ(value, 2);
		EQ(vcpu->flush_count, 0);
	}
}

GUEST_TEST(space_flush_queue_full_and_for_several_spaces)
{
	u64 a = page_new(), b = page_new(), value, other_root = table_new();

	set(a, 1);
	set(b, 2);
	ERR(INV(S1, L4_GUESTSPACE_SET_ROOT, other_root), OK);
	for (u64 i = 0; i < L4_GUEST_FLUSH_QUEUE; i++) {
		u64 root = i & 1 ? other_root : user_root, vaddr = DATA_VADDR + i * L4_PAGE_SIZE;

		table_map(root, vaddr, a, LEAF_RW);
		CHECK(user_load(guest.space[i & 1], vaddr, &value));
		table_map(root, vaddr, b, LEAF_RW);
	}
	for (u64 i = 0; i < L4_GUEST_FLUSH_QUEUE; i++)
		flush(guest.space[i & 1], L4_FLUSH_RANGE, DATA_VADDR + i * L4_PAGE_SIZE,
		      DATA_VADDR + (i + 1) * L4_PAGE_SIZE);
	EQ(vcpu->flush_count, L4_GUEST_FLUSH_QUEUE);
	for (u64 i = 0; i < L4_GUEST_FLUSH_QUEUE; i++) {
		CHECK(user_load(guest.space[i & 1], DATA_VADDR + i * L4_PAGE_SIZE, &value));
		EQ(value, 2);
	}
}

GUEST_TEST(space_flush_root_changes_the_table)
{
	u64 a = page_new(), b = page_new(), other = table_new(), value;

	set(a, 1);
	set(b, 2);
	table_map(user_root, DATA_VADDR, a, LEAF_RW);
	table_map(other, DATA_VADDR, b, LEAF_RW);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 1);
	flush(S0, L4_FLUSH_ROOT, other, 0);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 2);
	flush(S0, L4_FLUSH_ROOT, ALL_ONES, 0);
	user_call(PROGRAM(load), DATA_VADDR, 0);
	CHECK(enter(S0) != L4_EXIT_SYSCALL);
	ERR(INV(S0, L4_GUESTSPACE_SET_ROOT, user_root), OK);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 1);
}

GUEST_TEST(space_protect_takes_write_permission)
{
	u64 page = page_new();

	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	CHECK(user_store(S0, DATA_VADDR, 1));
	table_map(user_root, DATA_VADDR, page, LEAF_RW & ~(u64)L4_PTE_WRITE);
	flush(S0, L4_FLUSH_PROTECT, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
	CHECK(!user_store(S0, DATA_VADDR, 2));
	EQ(vcpu->fault_access & L4_RIGHT_WRITE, L4_RIGHT_WRITE);
	EQ(word(page), 1);
}

GUEST_TEST(space_each_has_its_own_table)
{
	u64 a = page_new(), b = page_new(), other = table_new(), value;

	set(a, 1);
	set(b, 2);
	table_map(user_root, DATA_VADDR, a, LEAF_RW);
	table_map(other, DATA_VADDR, b, LEAF_RW);
	ERR(INV(S1, L4_GUESTSPACE_SET_ROOT, other), OK);
	for (int i = 0; i < 3; i++) {
		CHECK(user_load(S0, DATA_VADDR, &value));
		EQ(value, 1);
		CHECK(user_load(S1, DATA_VADDR, &value));
		EQ(value, 2);
	}
	/* a flush of one space leaves the other's translations alone */
	flush(S1, L4_FLUSH_ROOT, other, 0);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 1);
}

GUEST_TEST(space_new_mapping_needs_no_flush)
{
	u64 page = page_new(), value;

	CHECK(!user_load(S0, DATA_VADDR, &value));
	set(page, 3);
	table_map(user_root, DATA_VADDR, page, LEAF_RW & ~(u64)L4_PTE_WRITE);
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(value, 3);
	/* a right that is added needs no flush either */
	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	CHECK(user_store(S0, DATA_VADDR, 4));
	EQ(word(page), 4);
}

GUEST_TEST(space_hint)
{
	u64 page = page_new(), value;

	set(page, 8);
	for (u64 i = 0; i < 8; i++)
		table_map(user_root, DATA_VADDR + i * L4_PAGE_SIZE, page, LEAF_RW | L4_PTE_ACCESSED);
	vcpu->hint_space = S0;
	vcpu->hint_addr = DATA_VADDR;
	vcpu->hint_count = 8;
	CHECK(user_load(S0, DATA_VADDR + 3 * L4_PAGE_SIZE, &value));
	EQ(value, 8);
	EQ(vcpu->hint_count, 0);
	/* a hint fills nothing that the table does not map: entries not valid, another space, wrong values */
	vcpu->hint_addr = DATA_VADDR + 0x100000;
	vcpu->hint_count = L4_GUEST_HINT_MAX;
	CHECK(!user_load(S0, DATA_VADDR + 0x100000, &value));
	ERR(INV(S1, L4_GUESTSPACE_SET_ROOT, table_new()), OK);
	vcpu->hint_space = S0;
	vcpu->hint_addr = DATA_VADDR;
	vcpu->hint_count = 8;
	CHECK(!user_load(S1, DATA_VADDR, &value));
	for (u64 i = 0; i < 6; i++) {
		static const u64 bad[] = { ALL_ONES,           L4_USER_TOP, L4_USER_TOP - L4_PAGE_SIZE,
		                           0xffffffff80000000, 1,           DATA_VADDR + 0x123 };

		vcpu->hint_space = i & 1 ? 0xffffffff : S0;
		vcpu->hint_addr = bad[i];
		vcpu->hint_count = 0xffffffff;
		vcpu->hint_access = L4_RIGHT_READ; /* a wrong hint is dropped, whatever else it says */
		CHECK(user_load(S0, DATA_VADDR, &value));
		EQ(value, 8);
	}
}

/* A fault that the guest kernel has seen first is filled as one that came to L4: rights checked, accessed and dirty set. */
GUEST_TEST(space_hint_of_a_fault)
{
	static const struct {
		u64 leaf, vaddr;
		u32 access;
		u64 exit, set;
	} cases[] = {
		{ LEAF_RW, DATA_VADDR, L4_RIGHT_READ, L4_EXIT_SYSCALL, L4_PTE_ACCESSED },
		{ LEAF_RW, DATA_VADDR + 8, L4_RIGHT_WRITE, L4_EXIT_SYSCALL, L4_PTE_ACCESSED | L4_PTE_DIRTY },
		{ LEAF_RW, DATA_VADDR, L4_RIGHT_EXEC, L4_EXIT_FAULT, 0 },
		{ LEAF_RX, DATA_VADDR, L4_RIGHT_WRITE, L4_EXIT_FAULT, 0 },
		{ LEAF_RX, DATA_VADDR, L4_RIGHT_EXEC, L4_EXIT_SYSCALL, L4_PTE_ACCESSED },
		{ LEAF_RW & ~(u64)L4_PTE_USER, DATA_VADDR, L4_RIGHT_READ, L4_EXIT_FAULT, 0 },
		{ LEAF_RW & ~(u64)L4_PTE_VALID, DATA_VADDR, L4_RIGHT_READ, L4_EXIT_FAULT, 0 },
		{ LEAF_RW, DATA_VADDR, ~0U, L4_EXIT_FAULT, 0 },
		/* no right at all is a hint of pages, which a leaf without rights is not filled by */
		{ L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_USER, DATA_VADDR, L4_RIGHT_GRANT, L4_EXIT_SYSCALL, 0 },
		{ LEAF_RW, L4_USER_TOP, L4_RIGHT_READ, L4_EXIT_FAULT, 0 },
		{ LEAF_RW, ALL_ONES, L4_RIGHT_READ, L4_EXIT_FAULT, 0 },
	};
	u64 page = page_new();

	for (u64 i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		u64 *leaf;

		table_map(user_root, DATA_VADDR, page, cases[i].leaf);
		flush(S0, L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
		leaf = table_entry(user_root, DATA_VADDR, 0);
		user_call(PROGRAM(load), CODE_VADDR, 0);
		vcpu->hint_space = S0;
		vcpu->hint_addr = cases[i].vaddr;
		vcpu->hint_count = 1;
		vcpu->hint_access = cases[i].access;
		EQ(enter(S0), cases[i].exit);
		EQ(vcpu->hint_count, 0);
		EQ(vcpu->hint_access, 0);
		EQ(*leaf & (L4_PTE_ACCESSED | L4_PTE_DIRTY), cases[i].set);
		if (cases[i].exit == L4_EXIT_SYSCALL)
			continue;
		EQ(vcpu->fault_addr, cases[i].vaddr);
		EQ(vcpu->fault_access, cases[i].access & (L4_RIGHT_READ | L4_RIGHT_WRITE | L4_RIGHT_EXEC));
		EQ(vcpu->fault_present, cases[i].vaddr == DATA_VADDR && cases[i].leaf & L4_PTE_VALID);
		/* the registers of user mode are as they were */
		EQ(enter(S0), L4_EXIT_SYSCALL);
	}
}

/* Uses more tables than the pool holds: every translation must still be right. */
static void exhaust_pool(struct helper *self)
{
	u64 page = page_new(), table = page_new(), value;

	*(u64 *)gp(table) = page | LEAF_RW; /* one last-level table serves every 2 MiB */
	set(page, 4711);
	for (u64 round = 0; round < 2; round++) {
		for (u64 i = 0; i < 96; i++) {
			u64 vaddr = DATA_VADDR + i * 0x200000;
			u64 space = guest.space[i % GUEST_TEST_SPACES];

			*table_entry(user_root, vaddr, 1) = table | L4_PTE_VALID;
			if (!CHECK(user_load(space, vaddr, &value)) || !EQ(value, 4711))
				return;
			CHECK(!user_load(space, vaddr + L4_PAGE_SIZE, &value));
			if (!CHECK(user_store(space, vaddr + 8, i)) || !EQ(word(page + 8), i))
				return;
		}
	}
}

GUEST_SCENE(space_pool_is_never_exhausted)
{
	fork_bits = 17;
	guest_make(exhaust_pool);
	CHECK(INV(guest.helper->vspace, L4_VSPACE_INFO).m[0] < 96);
	guest_run();
}

/* Tables of the guest kernel's own space come from the same pool, and may be evicted as well. */
static void exhaust_own_pool(struct helper *self)
{
	u64 page = page_new(), table = page_new(), root = page_new(), value;

	*(u64 *)gp(table) = page | LEAF_KERNEL;
	set(page, 42);
	vcpu->kernel_root = root;
	for (u64 i = 0; i < 96; i++) {
		*table_entry(root, guest_own + i * 0x200000, 1) = table | L4_PTE_VALID;
		if (!EQ(arch_try_load(guest_own + i * 0x200000, &value), 0) || !EQ(value, 42))
			return;
	}
	/* translations made by MAP are never evicted */
	EQ(shared[0], 0);
	EQ(upcall.count, 0);
}

GUEST_SCENE(space_own_tables_share_the_pool)
{
	fork_bits = 17;
	guest_make(exhaust_own_pool);
	guest_run();
}

TEST(space_configure_errors)
{
	u64 vspace = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), space = obj_new(L4_TYPE_GUESTSPACE, 0);
	u64 weak = cap_copy(space, L4_RIGHT_READ), weak_vspace = cap_copy(vspace, L4_RIGHT_READ);

	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, 0), UNBOUND);
	ERR(INV(space, L4_GUESTSPACE_FLUSH, 0, L4_PAGE_SIZE), UNBOUND);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, 4000), CAP);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, L4_ROOT_SLOT_CNODE), TYPE);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, weak_vspace), RIGHTS);
	ERR(INV(weak, L4_GUESTSPACE_CONFIGURE, vspace), RIGHTS);
	ERR(INV(space, 3, vspace), OP);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, vspace), OK);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, vspace), BUSY);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, L4_ROOT_SLOT_VSPACE), BUSY);
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, 8), ALIGN);
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, L4_PAGE_SIZE), RANGE); /* nothing is attached */
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, ALL_ONES), OK);
	ERR(INV(weak, L4_GUESTSPACE_SET_ROOT, ALL_ONES), RIGHTS);
	ERR(INV(weak, L4_GUESTSPACE_FLUSH, 0, 1), RIGHTS);
	ERR(INV(space, L4_GUESTSPACE_FLUSH, 0, ALL_ONES), OK);
	ERR(INV(space, L4_GUESTSPACE_FLUSH, 8, 3), OK);
	/* the VSpace may go first */
	ERR(slot_delete(weak_vspace), OK);
	ERR(slot_delete(vspace), OK);
	ERR(INV(space, L4_GUESTSPACE_FLUSH, 0, L4_PAGE_SIZE), UNBOUND);
}
