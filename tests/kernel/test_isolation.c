/* SPDX-License-Identifier: GPL-2.0-only */
/* What one task cannot see or change of another: memory, registers, vector registers, L4 itself. */
#include "harness.h"

static u64 private_word = 1;

static void changes_private(struct helper *self)
{
	EQ(private_word, 1);
	private_word = 2;
	shared[1]++;
}

TEST(isolation_forks_have_their_own_memory)
{
	struct helper *a = helper_fork(changes_private, 0, 100), *b = helper_fork(changes_private, 0, 100);

	helper_start(a);
	helper_start(b);
	helper_join(a);
	helper_join(b);
	EQ(shared[1], 2);
	EQ(private_word, 1);
}

static void touches(struct helper *self)
{
	if (self->arg[0] == 0)
		shared[2] = *(volatile u64 *)shared[1];
	else
		*(volatile u64 *)shared[1] = 1;
	shared[3] = 1;
}

TEST(isolation_kernel_addresses_fault)
{
	static const u64 bad[] = { L4_USER_TOP,        0xffff800000000000, 0xffffffff80000000, 0xffffffff80100000,
	                           0xfffffffffffff000, 1UL << 47,          0x8000000000000000 };

	for (u64 i = 0; i < sizeof(bad) / 8; i++) {
		for (u64 write = 0; write < 2; write++) {
			struct helper *h = helper_make(touches, write, 100);
			struct sys r;

			shared[1] = bad[i];
			helper_start(h);
			r = helper_fault(h);
			CHECK(LABEL(r.tag) == L4_FAULT_PAGE || LABEL(r.tag) == L4_FAULT_EXCEPTION);
			helper_forget();
		}
	}
	EQ(shared[3], 0);
}

static u64 fpu_rounds;

static void uses_fpu(struct helper *self)
{
	u64 seed = shared[5 + self->arg[0]];

	arch_fpu_fill(seed);
	arch_tls_set(seed);
	for (u64 i = 0; i < fpu_rounds; i++) {
		SYS(L4_SYS_YIELD, 0, 0);
		EQ(arch_fpu_differ(seed), 0);
		EQ(arch_tls_get(), seed);
		if (i % 3 == self->arg[0]) {
			seed += 1000;
			arch_fpu_fill(seed);
			arch_tls_set(seed);
		}
	}
	shared[1]++;
}

/* Vector registers and the thread pointer survive switches between tasks. */
TEST(isolation_vector_registers)
{
	struct helper *h[3];

	fpu_rounds = 300;
	for (u64 i = 0; i < 3; i++) {
		shared[5 + i] = (i + 1) << 20;
		h[i] = helper_fork(uses_fpu, i, 100);
	}
	for (u64 i = 0; i < 3; i++)
		helper_start(h[i]);
	for (u64 i = 0; i < 3; i++)
		helper_join(h[i]);
	EQ(shared[1], 3);
}

static void looks_at_fpu(struct helper *self)
{
	/* the values of reset: nothing of another task is left there */
	shared[1] = arch_fpu_differ(0x123456780000) == ARCH_FPU_REGISTERS;
	shared[2] = arch_tls_get();
}

static void fills_fpu(struct helper *self)
{
	arch_fpu_fill(0x123456780000);
	arch_tls_set(0x123456780000);
	shared[3] = 1;
}

TEST(isolation_vector_registers_do_not_leak)
{
	struct helper *a = helper_fork(fills_fpu, 0, 100), *b = helper_fork(looks_at_fpu, 0, 100);

	helper_start(a);
	helper_join(a);
	helper_start(b);
	helper_join(b);
	EQ(shared[1], 1);
	EQ(shared[2], 0);
	ERR(slot_delete(a->thread), OK);
}

static void spins(struct helper *self)
{
	static volatile u64 never;

	for (int i = 0; i < 20; i++)
		EQ(arch_spin_until(&never, 1, 300000), 1);
	shared[1]++;
}

/* Preemption keeps every register. */
TEST(isolation_preemption_keeps_registers)
{
	struct helper *h[3];

	for (u64 i = 0; i < 3; i++)
		helper_start(h[i] = helper_fork(spins, 0, 100));
	for (u64 i = 0; i < 3; i++)
		helper_join(h[i]);
	EQ(shared[1], 3);
}

/* A task without capabilities can do nothing with system calls. */
static void tries_capabilities(struct helper *self)
{
	for (u64 slot = 0; slot < 300; slot++)
		for (u64 op = 0; op < 9; op++)
			if (INV(slot, op).error != L4_ERR_CAP)
				shared[1]++;
	for (u64 number = 0; number <= L4_SYS_POLL; number++)
		for (u64 slot = 0; slot < 300; slot++)
			if (SYS(number, slot, 0).error != L4_ERR_CAP)
				shared[2]++;
	shared[3] = 1;
	*(volatile u64 *)NO_VADDR = 0;
}

TEST(isolation_empty_cnode)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, 14);
	struct helper *h = helper_fork(tries_capabilities, 0, 100);
	u64 fault = cap_mint(parent_endpoint, 15, h->index + 1);

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, cnode, h->vspace, (u64)h->utcb, fault));
	helper_start(h);
	EQ(helper_fault(h).m[0], NO_VADDR); /* it ends by this fault */
	EQ(shared[3], 1);
	EQ(shared[1], 0);
	EQ(shared[2], 0);
}
