/* SPDX-License-Identifier: GPL-2.0-only */
/* Tags of address spaces (kernel/arch/riscv64/mmu.c) come back when the spaces are destroyed. */
#include "harness.h"

#define ALL_TAGS 65536UL /* as many as the CPU has at most */
#define AT_ONCE  1000UL

static void yields(struct helper *self)
{
	for (;;)
		l4_yield();
}

/* There and back between two spaces. Without a tag for each, L4 flushes at both switches. */
static u64 switches(void)
{
	u64 least = ~0UL;

	for (int i = 0; i < 20; i++) {
		u64 start = arch_cycles();

		l4_yield();
		start = arch_cycles() - start;
		if (start < least)
			least = start;
	}
	return least;
}

TEST(tags_come_back)
{
	struct helper *h = helper_fork(yields, 0, 254);
	u64 memory = obj_new(L4_TYPE_UNTYPED, 23), spaces = slots_new(AT_ONCE), before;

	helper_start(h);
	before = switches();
	for (u64 made = 0; made < ALL_TAGS; made += AT_ONCE) {
		MUST(retype(memory, L4_TYPE_GUESTSPACE, 0, spaces, AT_ONCE));
		MUST(slot_revoke(memory));
	}
	EQ(switches(), before);
}

/* More spaces at a time than there are tags: what has none works, and costs a flush at each switch until it goes. */
TEST(tags_run_out)
{
	struct helper *h = helper_fork(yields, 0, 254);
	u64 memory = obj_new(L4_TYPE_UNTYPED, 24), spaces = slots_new(2000), before;

	helper_start(h);
	before = switches();
	MUST(retype(memory, L4_TYPE_GUESTSPACE, 0, spaces, 2000));
	CHECK(switches() > before);
	MUST(slot_revoke(memory));
	EQ(switches(), before);
}
