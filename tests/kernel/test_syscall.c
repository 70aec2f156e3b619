/* SPDX-License-Identifier: GPL-2.0-only */
/* System calls in general: their numbers, the debugging calls, and random calls, which must never stop L4. */
#include "harness.h"

TEST(syscall_unknown_numbers)
{
	static const u64 bad[] = { L4_SYS_VCPU_PREEMPTED + 1, 63,  64, 255, 256, 1UL << 31, 1UL << 32,
	                           (1UL << 32) + 10,          ~0UL };

	for (u64 i = 0; i < sizeof(bad) / 8; i++)
		ERR(SYS(bad[i], L4_ROOT_SLOT_CNODE, 0, 1, 2, 3), SYSCALL);
}

TEST(syscall_debug_write)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0);

	l4_flush();
	ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, 0), OK);
	ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, 2, 0x0a23), OK); /* "#\n" */
	ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, 49), RANGE);
	ERR(SYS(L4_SYS_DEBUG_WRITE, L4_SLOT_LOG, ~0UL), RANGE);
	/* needs a capability that allows this alone */
	ERR(SYS(L4_SYS_DEBUG_WRITE, 0, 2, 0x0a23), CAP);
	ERR(SYS(L4_SYS_DEBUG_WRITE, n, 2, 0x0a23), TYPE);
	ERR(SYS(L4_SYS_DEBUG_WRITE, cap_copy(L4_ROOT_SLOT_CONTROL, L4_RIGHT_WRITE), 2, 0x0a23), RIGHTS);
	ERR(INV(L4_SLOT_LOG, L4_CONTROL_LOG_BIND, n), RIGHTS);
	ERR(INV(L4_SLOT_LOG, L4_CONTROL_POWER_OFF, 1), RIGHTS);
}

TEST(syscall_debug_counters)
{
	u64 count = 0;

	/* only quoll-trace.elf counts */
	if (SYS(L4_SYS_DEBUG_COUNTER, 0, 0).error == L4_ERR_RANGE)
		return;
	while (SYS(L4_SYS_DEBUG_COUNTER, 0, count).error == L4_ERR_OK && count < 1000)
		count++;
	CHECK(count > 0 && count < 1000);
	ERR(SYS(L4_SYS_DEBUG_COUNTER, 0, count), RANGE);
	ERR(SYS(L4_SYS_DEBUG_COUNTER, 0, ~0UL), RANGE);
	/* the first counts system calls */
	count = SYS(L4_SYS_DEBUG_COUNTER, 0, 0).m[0];
	EQ(SYS(L4_SYS_DEBUG_COUNTER, 0, 0).m[0], count + 1);
}

TEST(syscall_yield_alone_returns)
{
	for (int i = 0; i < 100; i++)
		ERR(SYS(L4_SYS_YIELD, 0, 0), OK);
}

/* A failed invocation does not change the words, so no kernel data gets into them. */
TEST(syscall_failed_invocation_keeps_words)
{
	struct sys r = INV(4000, 0, 1, 2, 3, 4, 5, 6);

	ERR(r, CAP);
	for (u64 i = 0; i < 6; i++)
		EQ(r.m[i], i + 1);
}

#define FUZZ_SLOTS  40
#define FUZZ_ROUNDS 60000

static u64 fuzz_first, fuzz_seed;

/* Chooses a number that is often a valid argument. */
static u64 likely(u64 *seed)
{
	u64 r = random64(seed);

	switch (r >> 60) {
	case 0:
		return random64(seed);
	case 1:
		return ~0UL >> (r & 63);
	case 2:
		return 1UL << (r & 63);
	case 3:
		return (r & 0xff) << L4_PAGE_BITS;
	case 4:
		return TEST_VADDR + ((r & 0xfff) << L4_PAGE_BITS);
	case 5:
	case 6:
		return r & 15;
	case 7:
		return 12 + (r & 15);
	default:
		return fuzz_first + r % FUZZ_SLOTS;
	}
}

/*
 * Runs in a task whose CNode holds only an Untyped, what is made from it, and the task's own VSpace and CNode. The
 * task may end itself; L4 and other tasks must go on.
 */
static void fuzzes(struct helper *self)
{
	u64 seed = fuzz_seed;

	for (u64 i = 0; i < FUZZ_ROUNDS; i++) {
		u64 words[6], number = random64(&seed) % 20, cap = likely(&seed), tag = likely(&seed);

		for (int k = 0; k < 6; k++)
			words[k] = likely(&seed);
		if (random64(&seed) & 3)
			number = L4_SYS_INVOKE;
		if (number == L4_SYS_INVOKE)
			tag = random64(&seed) % 8;
		if (number == L4_SYS_INVOKE && random64(&seed) & 1) {
			/* make objects to operate on */
			cap = fuzz_first;
			tag = L4_UNTYPED_RETYPE;
			words[0] = random64(&seed) % 13;
			words[1] = random64(&seed) & 1 ? 0 : 12 + random64(&seed) % 5;
			words[2] = fuzz_first + 1;
			words[3] = fuzz_first + random64(&seed) % FUZZ_SLOTS;
			words[4] = 1;
		}
		if (number == L4_SYS_DEBUG_WRITE)
			continue; /* would write into the report */
		/* Only the forms that do not block, or the test would end early. */
		if (number <= L4_SYS_WAIT && number != L4_SYS_NB_SEND && number != L4_SYS_NB_RECV &&
		    number != L4_SYS_SIGNAL)
			number = number & 1 ? L4_SYS_NB_RECV : L4_SYS_NB_SEND;
		self->utcb->recv_slot = likely(&seed);
		for (int k = 0; k < 4; k++)
			self->utcb->caps[k] = likely(&seed);
		shared[1]++;
		sys(number, cap, tag, words, likely(&seed));
	}
}

static void done(struct helper *self) {}

TEST(syscall_fuzz)
{
	u64 calls = 0, whole = test_untyped, round_memory = obj_new(L4_TYPE_UNTYPED, 23);

	for (u64 round = 0; round < 6; round++) {
		u64 u = obj_new(L4_TYPE_UNTYPED, 19), cnode = slot_new(), memory = slot_new();
		struct helper *h, *other;
		u64 fault;

		test_untyped = round_memory;
		/* its CNode is made of an Untyped of its own, which it does not hold */
		MUST(retype(u, L4_TYPE_UNTYPED, 18, memory, 1));
		MUST(retype(u, L4_TYPE_CNODE, 13, cnode, 1));
		fuzz_first = 8;
		fuzz_seed = 0x1234567 + round * 0x1111;
		h = helper_fork(fuzzes, 0, 100);
		fault = cap_mint(parent_endpoint, 15, h->index + 1);
		MUST(INV(cnode, L4_CNODE_MOVE, 8, L4_ROOT_SLOT_CNODE, memory));
		MUST(INV(cnode, L4_CNODE_MINT, 9, L4_ROOT_SLOT_CNODE, cnode, 15, 0));
		MUST(INV(cnode, L4_CNODE_MINT, 10, L4_ROOT_SLOT_CNODE, h->vspace, 15, 0));
		if (round & 1)
			MUST(INV(cnode, L4_CNODE_MINT, 11, L4_ROOT_SLOT_CNODE, h->thread, 15, 0));
		MUST(INV(h->thread, L4_THREAD_CONFIGURE, cnode, h->vspace, (u64)h->utcb, fault));
		shared[1] = 0;
		helper_start(h);
		/* threads of lower priority run when it has ended, faulted or blocks */
		other = helper_make(done, 0, 50);
		helper_start(other);
		helper_join_quietly(other);
		calls += shared[1];
		helper_forget();
		helper_forget();
		ERR(slot_revoke(u), OK);
		EQ(INV(u, L4_UNTYPED_INFO).m[2], 1UL << 19);
		test_untyped = whole;
		ERR(slot_revoke(round_memory), OK);
	}
	print("# %lu random system calls\n", calls);
	CHECK(calls > 1000);
}
