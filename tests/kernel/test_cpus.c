/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Several CPUs: what one does to a thread of another. Who waits for another CPU waits in L4, and who runs on until it is
 * stopped has a budget: where an emulator runs CPUs in turn, a loop in user mode would keep the turn.
 */
#include "cpus.h"

static void answers(struct helper *self)
{
	struct sys r = recv(endpoint, reply);

	for (;;) {
		if (r.error)
			return;
		r = sys(L4_SYS_REPLY_RECV, endpoint, TAG(LABEL(r.tag) + 1, 3, 0), (u64[6]){ r.m[0] + 1, r.badge, 3 },
		        reply);
	}
}

static void call_often(u64 rounds)
{
	for (u64 i = 0; i < rounds; i++) {
		struct sys r = SYS(L4_SYS_CALL, endpoint, TAG(i, 1, 0), i);

		if (!EQ(r.error, L4_ERR_OK) || !EQ(r.m[0], i + 1) || !EQ(LABEL(r.tag), i + 1))
			return;
	}
}

CPUS_TEST(cpus_call_and_reply, 2)
{
	struct helper *server;

	make_objects();
	server = made_on(1, helper_fork, answers, 0);
	helper_start(server);
	call_often(ROUNDS);
	ERR(slot_delete(server->thread), OK);
}

static void calls_often(struct helper *self) { call_often(ROUNDS); }

CPUS_TEST(cpus_call_from_all, 4)
{
	struct helper *server, *h[4];

	make_objects();
	server = made_on(3, helper_fork, answers, 0);
	helper_start(server);
	for (u64 i = 0; i < 4; i++)
		helper_start(h[i] = made_on(i, helper_make, calls_often, 0));
	for (u64 i = 0; i < 4; i++)
		helper_join(h[i]);
	ERR(slot_delete(server->thread), OK);
}

/* A server without time of its own runs on the CPU of each of its callers in turn, and has its FPU state with it. */
static void answers_with_fpu(struct helper *self)
{
	struct sys r = recv(endpoint, reply);

	arch_fpu_fill(7000);
	while (!r.error) {
		u64 differ = arch_fpu_differ(7000);

		r = sys(L4_SYS_REPLY_RECV, endpoint, TAG(LABEL(r.tag) + 1, 2, 0), (u64[6]){ r.m[0] + 1 + differ },
		        reply);
	}
}

static void calls_with_fpu(struct helper *self)
{
	arch_fpu_fill(self->arg[0]);
	for (u64 i = 0; i < ROUNDS; i++) {
		struct sys r = SYS(L4_SYS_CALL, endpoint, TAG(i, 1, 0), i);

		if (!EQ(r.error, L4_ERR_OK) || !EQ(r.m[0], i + 1) || !EQ(arch_fpu_differ(self->arg[0]), 0))
			return;
	}
}

CPUS_TEST(cpus_passive_server_moves, 3)
{
	struct helper *server, *h[3];

	make_objects();
	server = made_on(1, helper_make, answers_with_fpu, 0);
	helper_start(server);
	pass(1);
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, BUSY, BUSY));
	for (u64 i = 0; i < 3; i++)
		helper_start(h[i] = made_on(i, helper_make, calls_with_fpu, 100000 * (i + 1)));
	for (u64 i = 0; i < 3; i++)
		helper_join(h[i]);
	ERR(slot_delete(server->thread), OK);
}

static void echoes(struct helper *self)
{
	for (u64 i = 0; i < ROUNDS; i++) {
		EQ(SYS(L4_SYS_WAIT, event, 0).badge, 1);
		ERR(SYS(L4_SYS_SIGNAL, other_event, 0), OK);
	}
}

CPUS_TEST(cpus_signal, 2)
{
	struct helper *h;

	make_objects();
	other_event = obj_new(L4_TYPE_NOTIFICATION, 0);
	h = made_on(1, helper_make, echoes, 0);
	helper_start(h);
	for (u64 i = 0; i < ROUNDS; i++) {
		ERR(SYS(L4_SYS_SIGNAL, event, 0), OK);
		EQ(SYS(L4_SYS_WAIT, other_event, 0).badge, 1);
	}
	helper_join(h);
}

static void suspend_often(void (*run)(struct helper *))
{
	struct helper *h;

	make_objects();
	h = busy_on(1, helper_make, run, 0);
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	for (u64 i = 0; i < 20; i++) {
		u64 before;

		ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
		before = shared[1];
		ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
		ERR(INV(h->thread, L4_THREAD_WRITE_REGS), OK);
		pass(1);
		EQ(shared[1], before);
		ERR(INV(h->thread, L4_THREAD_RESUME), OK);
		pass(1);
	}
	EQ(shared[2], 0);
	CHECK(shared[1] > 0);
	ERR(slot_delete(h->thread), OK);
}

CPUS_TEST(cpus_suspend_one_that_runs, 2) { suspend_often(runs_on); }

CPUS_TEST(cpus_suspend_one_that_calls, 2) { suspend_often(makes_calls); }

CPUS_TEST(cpus_delete_what_runs, 2)
{
	for (u64 i = 0; i < 6; i++) {
		struct helper *h;

		make_objects();
		h = busy_on(1, helper_fork, runs_on, 0);
		helper_start(h);
		ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		/* its thread, its time, or the VSpace under its feet */
		ERR(slot_delete(i % 3 == 0 ? h->thread : i % 3 == 1 ? h->sched : h->vspace), OK);
		u64 before = shared[1];

		pass(1);
		EQ(shared[1], before);
	}
}

/* All of its memory becomes something else at once. */
CPUS_TEST(cpus_revoke_what_runs, 2)
{
	u64 whole = test_untyped, part;

	part = obj_new(L4_TYPE_UNTYPED, 23);
	for (u64 i = 0; i < 3; i++) {
		struct helper *h;
		u64 before;

		make_objects();
		test_untyped = part;
		h = busy_on(1, helper_fork, runs_on, 0);
		test_untyped = whole;
		helper_start(h);
		ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		ERR(slot_revoke(part), OK);
		before = shared[1];
		ERR(retype(part, L4_TYPE_FRAME, 22, slot_new(), 1), OK);
		pass(1);
		EQ(shared[1], before);
		ERR(slot_revoke(part), OK);
	}
}

static void stores_on(struct helper *self)
{
	volatile u64 *page = (volatile u64 *)TEST_VADDR;

	page[0] = 1;
	SYS(L4_SYS_SIGNAL, event, 0);
	for (;;)
		page[0]++;
}

/* No store comes through a translation that was taken away. */
CPUS_TEST(cpus_unmap_what_is_used, 2)
{
	volatile u64 *mine = (volatile u64 *)(TEST_VADDR + (2UL << 20));

	for (u64 i = 0; i < 4; i++) {
		u64 frame, seen = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS), before;
		struct helper *h;
		struct sys r;

		make_objects();
		frame = cap_copy(seen, L4_RIGHT_ALL);
		MUST(((struct sys){ .error = frame_map(seen, (u64)mine, L4_RIGHT_READ | L4_RIGHT_WRITE) }));
		h = busy_on(1, helper_fork, stores_on, 0);
		MUST(INV(h->vspace, L4_VSPACE_MAP, frame, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE));
		helper_start(h);
		ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		ERR(INV(frame, L4_FRAME_UNMAP), OK);
		before = *mine;
		CHECK(before > 0);
		r = helper_fault(h);
		EQ(LABEL(r.tag), L4_FAULT_PAGE);
		EQ(r.m[0], TEST_VADDR);
		EQ(*mine, before);
		ERR(slot_delete(h->thread), OK);
		ERR(INV(seen, L4_FRAME_UNMAP), OK);
	}
}

/* A budget is one CPU's time, counted where the thread runs; a thread goes where its SchedContext goes. */
static void runs_with_fpu(struct helper *self)
{
	arch_fpu_fill(9000);
	SYS(L4_SYS_SIGNAL, event, 0);
	for (;;) {
		shared[1]++;
		if (arch_fpu_differ(9000))
			shared[2]++;
		arch_relax();
	}
}

CPUS_TEST(cpus_move_one_that_runs, 2)
{
	struct helper *h;

	make_objects();
	h = busy_on(1, helper_make, runs_with_fpu, 0);
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	for (u64 i = 0; i < 30; i++) {
		u64 cpu = 1 + i % (boot_info->cpus - 1), before = shared[1];

		ERR(CONFIGURE(h->sched, 2000, 10000, cpu), OK);
		for (u64 k = 0; k < 50 && shared[1] == before; k++)
			pass(cpu);
		CHECK(shared[1] != before);
	}
	EQ(shared[2], 0);
	ERR(slot_delete(h->thread), OK);
}

CPUS_TEST(cpus_budget, 3)
{
	struct helper *h[2];
	u64 tick = boot_info->counter_hz / 1000, start, used[2];

	make_objects();
	for (u64 i = 0; i < 2; i++)
		helper_start(h[i] = busy_on(i + 1, helper_make, runs_on, 0));
	start = l4_counter();
	for (u64 i = 0; i < 20 || l4_counter() - start < 20 * tick; i++) {
		ERR(INV(h[i & 1]->thread, L4_THREAD_READ_REGS), STATE);
		if (i < 20)
			pass(1 + (i & 1));
	}
	for (u64 i = 0; i < 2; i++) {
		ERR(INV(h[i]->thread, L4_THREAD_SUSPEND), OK);
		used[i] = INV(h[i]->sched, L4_SCHED_CONTEXT_INFO).m[0];
	}
	start = l4_counter() - start;
	for (u64 i = 0; i < 2; i++) {
		CHECK(used[i] > 0);
		/* a fifth, one budget more at most, and what an interrupt is late */
		CHECK(used[i] <= start / 5 + 4 * tick);
		ERR(slot_delete(h[i]->thread), OK);
	}
}

/* Two make and delete objects, from the same Untyped, with the same CNode; nothing is lost. */
static void makes_and_deletes(struct helper *self)
{
	u64 slot = self->arg[0], untyped = self->arg[1];

	for (u64 i = 0; i < ROUNDS; i++) {
		ERR(retype(untyped, L4_TYPE_NOTIFICATION, 0, slot, 3), OK);
		ERR(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_MINT, slot + 3, L4_ROOT_SLOT_CNODE, slot, L4_RIGHT_ALL, 5), OK);
		ERR(SYS(L4_SYS_SIGNAL, slot + 3, 0), OK);
		EQ(SYS(L4_SYS_POLL, slot, 0).badge, 5);
		ERR(slot_revoke(untyped), OK);
		EQ(slot_type_error(slot), L4_ERR_CAP);
	}
}

CPUS_TEST(cpus_invoke_at_once, 3)
{
	struct helper *h[2];

	for (u64 i = 0; i < 2; i++) {
		h[i] = made_on(i + 1, helper_make, makes_and_deletes, slots_new(4));
		h[i]->arg[1] = obj_new(L4_TYPE_UNTYPED, 14);
	}
	for (u64 i = 0; i < 2; i++)
		helper_start(h[i]);
	for (u64 i = 0; i < 2; i++)
		helper_join(h[i]);
}

/* Invokes as fast as it can; others get their turns at the lock. */
CPUS_TEST(cpus_one_hammers, 3)
{
	struct helper *server, *hammer;

	make_objects();
	hammer = busy_on(2, helper_make, makes_calls, 0);
	server = made_on(1, helper_fork, answers, 0);
	helper_start(hammer);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	helper_start(server);
	call_often(ROUNDS);
	EQ(shared[2], 0);
	ERR(slot_delete(hammer->thread), OK);
	ERR(slot_delete(server->thread), OK);
}

/* Interrupts that L4 has taken since it started; 0 where only quoll-trace.elf counts. */
static u64 interrupts(void)
{
	struct sys r;

	for (u64 k = 0; !(r = SYS(L4_SYS_DEBUG_COUNTER, 0, k)).error; k++)
		if (!memcmp(&r.m[1], "interrupt", 10))
			return r.m[0];
	return 0;
}

/* What concerns nobody there takes no other CPU out of user mode. */
TEST(cpus_invoke_beside_one_that_runs)
{
	u64 before, other = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS), frame = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);
	struct helper *h;

	need_cpus(2);
	make_objects();
	h = made_on(1, helper_fork, runs_on, 0);
	MUST(CONFIGURE(h->sched, 9000, 10000, 1));
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	MUST(INV(other, L4_VSPACE_MAP, frame, TEST_VADDR, L4_RIGHT_READ));
	before = interrupts();
	for (u64 i = 0; i < ROUNDS; i++) {
		ERR(INV(endpoint, 0), OP);
		ERR(INV(h->sched, L4_SCHED_CONTEXT_INFO), OK);
		ERR(INV(frame, L4_FRAME_UNMAP), OK);
		ERR(INV(other, L4_VSPACE_MAP, frame, TEST_VADDR, L4_RIGHT_READ), OK);
	}
	CHECK(interrupts() - before < ROUNDS);
	ERR(slot_delete(h->thread), OK);
}
