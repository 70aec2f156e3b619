/* SPDX-License-Identifier: GPL-2.0-only */
/* ASIDs are free again when their spaces are destroyed. */
#include "harness.h"

#define ALL_TAGS 65536UL /* as many as the CPU has at most */
#define AT_ONCE  1000UL

static void yields(struct helper *self)
{
	for (;;)
		l4_yield();
}

/* Switches between two spaces. L4 flushes at both switches unless each has an ASID. */
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

/* More spaces than there are ASIDs: a space without one works, at the cost of a flush at each switch. */
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
