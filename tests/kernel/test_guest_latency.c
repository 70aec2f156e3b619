/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest tries to keep interrupts off for long: by few tables of its own it makes L4 fill as many tables as the pool
 * has, and then makes every call that changes all of them.
 */
#include "guest.h"
#include "meter.h"

#define S0     guest.space[0]
#define LARGE  0x200000UL
#define GIB    0x40000000UL
#define LAST   0x1ff000UL /* last page of a large one */
#define POOL   23         /* log2 of the size of the guest's VSpace: some 2,000 table pages */
#define TABLES 1800UL     /* of these are in use */

static u64 shared_table, target;

/* Makes 1 GiB of addresses valid with one table for all its large pages, whose entries all map the same page. */
static u64 shared_gib(u64 flags)
{
	u64 gib = page_new();

	shared_table = page_new();
	target = page_new();
	for (u64 i = 0; i < 512; i++) {
		((u64 *)gp(gib))[i] = shared_table | L4_PTE_VALID;
		((u64 *)gp(shared_table))[i] = target | flags;
	}
	return gib;
}

/* Touches the first and the last page of each large page: L4 then has a table for each, and scans all entries. */
static void fill_user(u64 space, u64 tables)
{
	u64 value;

	for (u64 i = 0; i < tables; i++) {
		u64 vaddr = DATA_VADDR + i * LARGE;

		*table_entry(user_root, vaddr, 2) = shared[10] | L4_PTE_VALID;
		if (!CHECK(user_load(space, vaddr, &value)) || !CHECK(user_load(space, vaddr + LAST, &value)))
			return;
	}
}

static void flush_64(u64 op, u64 start)
{
	for (int i = 0; i < L4_GUEST_FLUSH_QUEUE; i++)
		flush(S0, op, start, ALL_ONES);
}

static void flushes(struct helper *self)
{
	u64 value;

	shared[10] = shared_gib(LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY);
	fill_user(S0, TABLES);
	METER_CHECK("of-filling");
	/* protect everything: later writes fault where the guest's table says so */
	CHECK(user_store(S0, DATA_VADDR, 1));
	((u64 *)gp(shared_table))[0] &= ~(u64)L4_PTE_WRITE;
	flush_64(L4_FLUSH_PROTECT, 0);
	CHECK(!user_store(S0, DATA_VADDR, 2));
	CHECK(!user_store(S0, DATA_VADDR + (TABLES - 1) * LARGE, 2));
	CHECK(user_store(S0, DATA_VADDR + LAST, 2));
	EQ(vcpu->flush_count, 0);
	METER_CHECK("of-64-protects");
	/* flush almost everything by VCPU_FLUSH */
	flush_64(L4_FLUSH_RANGE, L4_PAGE_SIZE);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0), OK);
	EQ(vcpu->flush_count, 0);
	METER_CHECK("of-64-range-flushes");
	((u64 *)gp(shared_table))[0] = 0;
	CHECK(!user_load(S0, DATA_VADDR, &value));
	CHECK(!user_load(S0, DATA_VADDR + (TABLES - 1) * LARGE, &value));
	((u64 *)gp(shared_table))[0] = target | LEAF_RW;
	fill_user(S0, TABLES);
	flush_64(L4_FLUSH_ROOT, user_root);
	((u64 *)gp(shared_table))[0] = 0;
	CHECK(!user_load(S0, DATA_VADDR + 5 * LARGE, &value));
	METER_CHECK("of-64-root-flushes");
	((u64 *)gp(shared_table))[0] = target | LEAF_RW;
	fill_user(S0, TABLES);
	METER_CHECK("of-filling-again");
	ERR(INV(S0, L4_GUESTSPACE_FLUSH, 1, ALL_ONES), OK);
	METER_CHECK("of-flush");
	((u64 *)gp(shared_table))[511] = 0;
	CHECK(!user_load(S0, DATA_VADDR + 7 * LARGE + LAST, &value));
	/* hints */
	for (int i = 0; i < 200; i++) {
		vcpu->hint_space = S0;
		vcpu->hint_addr = DATA_VADDR + i * LARGE + 505 * L4_PAGE_SIZE;
		vcpu->hint_count = i & 1 ? 0xffffffff : L4_GUEST_HINT_MAX;
		CHECK(user_load(S0, DATA_VADDR + i * LARGE, &value));
	}
	METER_CHECK("of-hints");
}

static void run(void (*body)(struct helper *))
{
	fork_bits = POOL;
	meter_start();
	guest_make(body);
	guest_run();
	meter_stop();
}

GUEST_SCENE(latency_guest_flushes) { run(flushes); }

static void fill_own(u64 root, u64 tables)
{
	u64 value;

	for (u64 i = 0; i < tables; i++) {
		u64 vaddr = guest_own + i * LARGE;

		*table_entry(root, vaddr, 2) = shared[10] | L4_PTE_VALID;
		if (!EQ(arch_try_load(vaddr, &value), 0) || !EQ(arch_try_load(vaddr + LAST, &value), 0))
			return;
	}
}

/* Fills the guest kernel's own space with more than the pool holds, and flushes it. */
static void own_flushes(struct helper *self)
{
	u64 root = page_new(), value;

	shared[10] = shared_gib(LEAF_KERNEL);
	vcpu->kernel_root = root;
	fill_own(root, TABLES);
	METER_CHECK("of-filling-the-own-space");
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, 1, ALL_ONES), OK);
	METER_CHECK("of-flushing-the-own-space");
	((u64 *)gp(shared_table))[0] = 0;
	EQ(arch_try_load(guest_own, &value), 1);
	EQ(arch_try_load(guest_own + (TABLES - 1) * LARGE, &value), 1);
	((u64 *)gp(shared_table))[0] = target | LEAF_KERNEL;
	fill_own(root, 2100);
	METER_CHECK("of-evicting-own-tables");
}

GUEST_SCENE(latency_guest_own_space) { run(own_flushes); }

/* Takes one page of its memory away, and then the rest. */
static void is_detached(struct helper *self)
{
	u64 root = page_new(), value;

	vcpu->kernel_root = root;
	shared[10] = shared_gib(LEAF_KERNEL);
	fill_own(root, TABLES / 2);
	shared[10] = shared_gib(LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY);
	for (int i = 0; i < GUEST_TEST_SPACES; i++)
		fill_user(guest.space[i], TABLES / 2 / GUEST_TEST_SPACES);
	ERR(INV(shared[11], L4_FRAME_UNMAP), OK);
	METER_CHECK("of-detaching-a-page");
	CHECK(user_load(S0, DATA_VADDR, &value));
	EQ(arch_try_load(guest_own, &value), 0);
	shared[12] = 1;
}

GUEST_SCENE(latency_guest_detach)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);

	fork_bits = POOL;
	meter_start();
	guest_make(is_detached);
	guest_run_losing(page);
	ERR(INV(guest.attached, L4_FRAME_UNMAP), OK);
	METER_CHECK("of-detaching-all");
	ERR(slot_delete(guest.helper->vspace), OK);
	METER_CHECK("of-deleting-the-vspace");
	meter_stop();
}

static u64 map_gib(void)
{
	u64 start = l4_counter();

	ERR(INV(shared[12], L4_VSPACE_MAP, shared[11], guest_own, L4_RIGHT_READ), OK);
	return (l4_counter() - start) * 1000000 / vcpu->counter_hz;
}

/*
 * Maps a Frame of 1 GiB where L4 has filled small pages from the guest kernel's table: it replaces all their tables.
 * The Frame is of device addresses above all RAM. MAP has no preemption point.
 */
static void makes_way(struct helper *self)
{
	u64 root = page_new(), empty, filled;

	shared[10] = shared_gib(LEAF_KERNEL);
	empty = map_gib();
	ERR(INV(shared[11], L4_FRAME_UNMAP), OK);
	vcpu->kernel_root = root;
	fill_own(root, 512);
	filled = map_gib();
	ERR(INV(shared[11], L4_FRAME_UNMAP), OK);
	print("# bench latency-of-mapping-a-gib %lu us, where pages were %lu us\n", empty, filled);
	CHECK(empty < METER_LIMIT_US);
	CHECK(filled < 5 * empty); /* a loop over every page would cost 100 times as much */
}

static u64 device_gib(void)
{
	u64 slot = slot_new();

	for (u32 i = 0; i < boot_info->untyped_count; i++)
		if (boot_info->untyped[i].kind == L4_MEM_DEVICE && boot_info->untyped[i].size_bits >= 30) {
			MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, 30, slot, 1));
			return slot;
		}
	return 0;
}

TEST(latency_guest_large_frame)
{
	u64 frame = device_gib();

	if (!CHECK(frame))
		return;
	fork_bits = POOL;
	guest_make(makes_way);
	shared[11] = frame;
	shared[12] = guest.helper->vspace;
	guest_run();
	ERR(slot_delete(frame), OK);
}

/*
 * Upper tables of the guest kernel's own space are never evicted. When they leave one or two pages of the pool for a
 * space that needs three, the guest gets the fault, and L4 does not try for ever.
 */
static void too_little_is_left(struct helper *self)
{
	u64 page = page_new(), root = page_new(), gib = page_new(), table = page_new(), value, last = 1;

	*(u64 *)gp(table) = page | LEAF_KERNEL;
	*(u64 *)gp(gib) = table | L4_PTE_VALID;
	vcpu->kernel_root = root;
	for (u64 i = 0; i < 96 && last; i++) {
		*table_entry(root, guest_own + i * GIB, 2) = gib | L4_PTE_VALID;
		if (arch_try_load(guest_own + i * GIB, &value))
			last = 0;
		user_load(S0, CODE_VADDR, &value);
	}
	EQ(last, 0);
	CHECK(!user_load(S0, CODE_VADDR, &value));
	shared[12] = 1;
}

GUEST_SCENE(space_faults_when_the_pool_has_too_little)
{
	fork_bits = 17;
	guest_make(too_little_is_left);
	guest_run();
	EQ(shared[12], 1);
}
