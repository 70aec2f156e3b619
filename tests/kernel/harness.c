/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Runs the registered tests one after the other and reports them as KTAP version 1 through DEBUG_WRITE.
 *
 * Slots below TEST_SLOT belong to the harness. Whatever a test leaves in the others is deleted, the Untyped
 * that all its objects came from is revoked, and then all of it must be free again.
 */
#include "harness.h"
#include <abi_hash.h>
#include <hold/points.h>

#define TEST_UNTYPED_SLOT 300
#define TEST_SLOT         512
#define TEST_SLOT_END     (1UL << L4_ROOT_CNODE_BITS)

extern const struct test *const __start_ktests[], *const __stop_ktests[];

const struct l4_boot_info *boot_info;
struct l4_utcb *root_utcb;
volatile u64 *shared = (volatile u64 *)SHARED_VADDR;
u64 test_untyped = TEST_UNTYPED_SLOT;
u64 failures;

static u64 next_slot;
static u64 pool; /* slot of the Untyped that tests are made from */
static void *resume_point[5];

/* checks */

static int on_root_stack(void)
{
	u64 sp = (u64)__builtin_frame_address(0);

	return sp <= L4_ROOT_STACK_TOP && sp > L4_ROOT_STACK_TOP - L4_ROOT_STACK_SIZE;
}

/* Ends the current test, which has failed already or is left out, from anywhere in it. */
void finish_test(void) { __builtin_longjmp(resume_point, 1); }

static const char *lacking;

void need_guest_mode(u64 mode)
{
	if (boot_info->guest_modes >> mode & 1)
		return;
	lacking = "this machine has no such guest mode";
	finish_test();
}

void need_cpus(u64 count)
{
	if (boot_info->cpus >= count)
		return;
	lacking = "L4 runs on fewer CPUs here";
	finish_test();
}

void need_one_cpu(void)
{
	if (boot_info->cpus == 1)
		return;
	lacking = "L4 runs on more CPUs here";
	finish_test();
}

void need_holds(void)
{
	if (!SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_FIRST).error)
		return;
	lacking = "this kernel holds no CPU up";
	finish_test();
}

static const char *file_name(const char *file)
{
	const char *name = file;

	for (; *file; file++)
		if (*file == '/')
			name = file + 1;
	return name;
}

int check_eq(const char *file, int at, const char *what, u64 got, u64 want)
{
	if (got == want)
		return 1;
	failures++;
	if (failures < 20)
		print("# %s:%lu: %s: expected 0x%lx, got 0x%lx\n", file_name(file), (u64)at, what, want, got);
	return 0;
}

void must(const char *file, int at, const char *what, u64 error)
{
	if (check_eq(file, at, what, error, L4_ERR_OK))
		return;
	if (on_root_stack())
		finish_test();
}

/* slots and objects */

u64 slots_new(u64 count)
{
	u64 slot = next_slot;

	next_slot += count;
	CHECK(next_slot <= TEST_SLOT_END);
	return slot;
}

struct sys retype(u64 untyped, u64 type, u64 bits, u64 slot, u64 count)
{
	return INV(untyped, L4_UNTYPED_RETYPE, type, bits, L4_ROOT_SLOT_CNODE, slot, count);
}

u64 obj_new(u64 type, u64 bits)
{
	u64 slot = slot_new();

	MUST(retype(test_untyped, type, bits, slot, 1));
	return slot;
}

u64 cap_copy(u64 slot, u64 rights)
{
	u64 to = slot_new();

	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_COPY, to, L4_ROOT_SLOT_CNODE, slot, rights));
	return to;
}

u64 cap_mint(u64 slot, u64 rights, u64 badge)
{
	u64 to = slot_new();

	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_MINT, to, L4_ROOT_SLOT_CNODE, slot, rights, badge));
	return to;
}

/* Tells whether a slot is empty without changing it: an operation that no object has gives CAP or OP. */
u64 slot_type_error(u64 slot) { return INV(slot, 1000).error; }

u64 frame_map(u64 frame, u64 vaddr, u64 rights)
{
	return INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, frame, vaddr, rights).error;
}

u64 sched_new(u64 budget_us, u64 period_us)
{
	u64 slot = obj_new(L4_TYPE_SCHED_CONTEXT, 0);

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, slot, budget_us, period_us));
	return slot;
}

u64 random64(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* running */

/* The Untyped that tests are made from: the smallest RAM block that can hold a test's Untyped, still whole.
 */
static void choose_pool(void)
{
	u32 best = 64;

	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *u = &boot_info->untyped[i];

		if (u->kind == L4_MEM_RAM && u->size_bits >= TEST_UNTYPED_BITS && u->size_bits < best &&
		    INV(L4_ROOT_SLOT_UNTYPED + i, L4_UNTYPED_INFO).m[2] == 1UL << u->size_bits) {
			best = u->size_bits;
			pool = L4_ROOT_SLOT_UNTYPED + i;
		}
	}
}

static void run_body(const struct test *test)
{
	if (__builtin_setjmp(resume_point) == 0) {
		u64 frame;

		MUST(retype(pool, L4_TYPE_UNTYPED, TEST_UNTYPED_BITS, TEST_UNTYPED_SLOT, 1));
		helper_reset();
		frame = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);
		EQ(frame_map(frame, SHARED_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK);
		test->run();
	}
}

static void clean_up(void)
{
	SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_RANDOM, 0, 0, 0, HOLD_KEY);
	for (u64 slot = TEST_SLOT; slot < next_slot; slot++)
		slot_delete(slot);
	root_utcb->recv_slot = 0;
	EQ(slot_revoke(pool).error, L4_ERR_OK);
	for (u64 slot = TEST_SLOT; slot < next_slot; slot++)
		if (!EQ(slot_type_error(slot), L4_ERR_CAP))
			break;
}

int l4_main(void *info)
{
	u64 count = __stop_ktests - __start_ktests, failed = 0, skipped = 0;

	boot_info = info;
	root_utcb = l4_utcb;
	print("\nKTAP version 1\n1..%lu\n", count);
	SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_LOCK_TIME, 1, 0, 0, HOLD_KEY);
	choose_pool();
	CHECK(pool);
	CHECK(boot_info->magic == L4_BOOT_MAGIC && boot_info->abi_hash == L4_ABI_HASH);
	for (u64 i = 0; i < count; i++) {
		u64 free_before = INV(pool, L4_UNTYPED_INFO).m[2];

		failures = 0;
		lacking = 0;
		next_slot = TEST_SLOT;
		run_body(__start_ktests[i]);
		clean_up();
		EQ(INV(pool, L4_UNTYPED_INFO).m[2], free_before);
		print("%sok %lu %s%s%s\n", failures ? "not " : "", i + 1, __start_ktests[i]->name,
		      lacking ? " # SKIP " : "", lacking ? lacking : "");
		failed += failures != 0;
		skipped += lacking && !failures;
	}
	print("# Totals: pass:%lu fail:%lu skip:%lu\n", count - failed - skipped, failed, skipped);
	INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_POWER_OFF, failed != 0);
	for (;;)
		sys(L4_SYS_YIELD, 0, 0, (u64[6]){ 0 }, 0);
}
