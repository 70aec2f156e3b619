/* SPDX-License-Identifier: GPL-2.0-only */
/* Several CPUs: vCPUs, and what they do without the lock beside others. See test_cpus.c. */
#include "cpus.h"

static u64 contested;

static void binds(struct helper *self)
{
	u64 error = INV(self->arg[1], L4_THREAD_BIND_VCPU, contested, L4_GUEST_VCPU_VADDR).error;

	if (error == L4_ERR_OK)
		__atomic_fetch_add(&shared[3], 1, __ATOMIC_SEQ_CST);
	else
		EQ(error, L4_ERR_BUSY);
}

static void nothing(struct helper *self) {}

/* One Vcpu is one thread's, whoever is first. */
CPUS_TEST(cpus_bind_a_vcpu_twice, 3)
{
	struct helper *h[2], *target[2];

	contested = obj_new(L4_TYPE_VCPU, 0);
	for (u64 i = 0; i < 2; i++) {
		target[i] = helper_fork(nothing, 0, BUSY);
		h[i] = made_on(i + 1, helper_make, binds, 0);
		h[i]->arg[1] = target[i]->thread;
	}
	for (u64 i = 0; i < 2; i++)
		helper_start(h[i]);
	for (u64 i = 0; i < 2; i++)
		helper_join(h[i]);
	EQ(shared[3], 1);
}

static void spin_a_ms(u64 *ticks)
{
	u64 start = l4_counter(), now;

	while ((now = l4_counter()) - start < boot_info->counter_hz / 1000)
		arch_relax();
	*ticks = now - start;
}

/* On the guest's CPU: first the guest could run, then it could not. */
static void takes_the_cpu(struct helper *self)
{
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	spin_a_ms((u64 *)&shared[3]);
	MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
	spin_a_ms((u64 *)&shared[4]);
	MUST(INV(guest.helper->thread, L4_THREAD_RESUME));
}

static void guest_whose_cpu_is_taken(struct helper *self)
{
	u64 before = vcpu->stolen, start = l4_counter();

	ERR(SYS(L4_SYS_SIGNAL, event, 0), OK);
	shared[5] = l4_counter() - start;
	shared[6] = vcpu->stolen - before;
	/* While it waits nothing is taken from it. */
	before = vcpu->stolen;
	SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + boot_info->counter_hz / 1000);
	ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
	EQ(vcpu->stolen, before);
}

TEST(cpus_stolen_time)
{
	struct helper *h;

	need_cpus(2);
	make_objects();
	helper_cpu = 1;
	guest_make(guest_whose_cpu_is_taken);
	helper_cpu = 0;
	h = made_on(1, helper_make, takes_the_cpu, 0);
	helper_start(h);
	pass(1);
	helper_start(guest.helper);
	helper_join(guest.helper);
	CHECK(shared[3] > 0 && shared[6] >= shared[3]);
	CHECK(shared[4] > 0 && shared[6] + shared[4] <= shared[5]);
}

/* A guest that is alone in its VSpace changes its tables while another CPU is in user mode: nobody stops that for it. */
static void flushes(struct helper *self)
{
	u64 value, page = page_new();

	table_map(user_root, DATA_VADDR, page, LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY);
	for (u64 i = 0; i < ROUNDS; i++) {
		*(u64 *)gp(page) = i;
		EQ(user_load(guest.space[0], DATA_VADDR, &value), 1);
		EQ(value, i);
		flush(guest.space[0], L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
		ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, 0, 0), OK);
	}
}

CPUS_TEST(cpus_flush_beside_one_that_runs, 3)
{
	struct helper *h;
	u64 told;

	make_objects();
	h = busy_on(2, helper_make, runs_on, 0);
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	helper_cpu = 1;
	guest_make(flushes);
	helper_cpu = 0;
	told = passes(HOLD_FLUSHES_OTHERS);
	guest_run();
	CHECK(passes(HOLD_FLUSHES_OTHERS) - told < ROUNDS);
	ERR(slot_delete(h->thread), OK);
}
