/* SPDX-License-Identifier: GPL-2.0-only */
/* Scheduling: priorities, round robin, yield, and lost SchedContexts. */
#include "guest.h"

#define HZ (boot_info->counter_hz)

static volatile u64 order[64];
static volatile u64 order_count;

static void writes_order(struct helper *self) { order[order_count++] = self->arg[0]; }

TEST(sched_higher_priority_first)
{
	static const u64 priority[] = { 50, 120, 80, 200, 10 };
	struct helper *h[5];

	order_count = 0;
	for (u64 i = 0; i < 5; i++)
		helper_start(h[i] = helper_make(writes_order, priority[i], priority[i]));
	for (u64 i = 0; i < 5; i++)
		helper_join(h[(u64[]){ 3, 1, 2, 0, 4 }[i]]);
	for (u64 i = 1; i < 5; i++)
		CHECK(order[i - 1] > order[i]);
	EQ(order_count, 5);
}

TEST(sched_equal_priority_in_order)
{
	struct helper *h[6];

	order_count = 0;
	for (u64 i = 0; i < 6; i++)
		helper_start(h[i] = helper_make(writes_order, i, 100));
	for (u64 i = 0; i < 6; i++)
		helper_join(h[i]);
	for (u64 i = 0; i < 6; i++)
		EQ(order[i], i);
}

static void yields(struct helper *self)
{
	for (int i = 0; i < 5; i++) {
		order[order_count++] = self->arg[0];
		ERR(SYS(L4_SYS_YIELD, 0, 0), OK);
	}
}

TEST(sched_yield_alternates)
{
	struct helper *a = helper_make(yields, 1, 100), *b = helper_make(yields, 2, 100);

	order_count = 0;
	helper_start(a);
	helper_start(b);
	helper_join(a);
	helper_join(b);
	EQ(order_count, 10);
	for (u64 i = 0; i < 10; i++)
		EQ(order[i], 1 + (i & 1));
}

static void starts_higher(struct helper *self)
{
	order[order_count++] = 1;
	helper_start((struct helper *)self->arg[1]);
	order[order_count++] = 3;
}

TEST(sched_woken_higher_thread_preempts)
{
	struct helper *low = helper_make(starts_higher, 0, 50), *high = helper_make(writes_order, 2, 60);

	order_count = 0;
	low->arg[1] = (u64)high;
	helper_start(low);
	helper_join(high);
	helper_join(low);
	EQ(order[0], 1);
	EQ(order[1], 2);
	EQ(order[2], 3);
}

static void lowers_itself(struct helper *self)
{
	order[order_count++] = 1;
	ERR(INV(self->thread, L4_THREAD_SET_SCHED, self->sched, 40, 40), OK);
	order[order_count++] = 3;
}

TEST(sched_lowered_priority_takes_effect_at_once)
{
	struct helper *a = helper_make(lowers_itself, 0, 60), *b = helper_make(writes_order, 2, 50);

	order_count = 0;
	helper_start(a);
	helper_start(b);
	helper_join(b);
	helper_join(a);
	EQ(order[1], 2);
	EQ(order[2], 3);
}

static void spins_until(struct helper *self)
{
	u64 start = l4_counter();

	while (l4_counter() - start < self->arg[1]) {
		shared[self->arg[0]]++;
		shared[8] = self->arg[0];
	}
}

/* Two threads that never yield share the time; a third of lower priority gets none. */
TEST(sched_round_robin)
{
	struct helper *a = helper_make(spins_until, 1, 100), *b = helper_make(spins_until, 2, 100);
	struct helper *low = helper_make(spins_until, 3, 50);

	a->arg[1] = b->arg[1] = HZ / 10;
	low->arg[1] = HZ / 1000;
	helper_start(low);
	helper_start(a);
	helper_start(b);
	helper_join(a);
	EQ(shared[3], 0);
	CHECK(shared[1] && shared[2]);
	CHECK(shared[1] < 3 * shared[2] && shared[2] < 3 * shared[1]);
	helper_join(b);
	helper_join(low);
}

static void spins_for_ever(struct helper *self)
{
	for (;;)
		shared[self->arg[0]]++;
}

/* A thread without a SchedContext does not run; it does as soon as it has one. */
TEST(sched_without_context)
{
	struct helper *h = helper_make(writes_order, 1, 100), *other = helper_make(writes_order, 2, 10);

	order_count = 0;
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, 0, 100, 100));
	helper_start(h);
	helper_start(other);
	helper_join(other);
	EQ(order_count, 1);
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, h->sched, 100, 100));
	helper_join(h);
	EQ(order_count, 2);
}

TEST(sched_unconfigured_context_gives_no_time)
{
	struct helper *h = helper_make(writes_order, 1, 100), *other = helper_make(writes_order, 2, 10);
	u64 sc = obj_new(L4_TYPE_SCHED_CONTEXT, 0);

	order_count = 0;
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, sc, 100, 100));
	helper_start(h);
	helper_start(other);
	helper_join(other);
	EQ(order_count, 1);
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, sc, 1000, 1000));
	helper_join(h);
}

TEST(sched_context_deleted_below_its_thread)
{
	struct helper *h = helper_make(spins_for_ever, 1, 100), *other = helper_make(spins_until, 2, 50);
	u64 seen;

	other->arg[1] = HZ / 100;
	helper_start(h);
	recv(parent_endpoint, ~0UL); /* an error, so that we do not block */
	ERR(slot_delete(h->sched), OK);
	seen = shared[1];
	helper_start(other);
	helper_join(other);
	EQ(shared[1], seen);
	h->sched = sched_new(1000, 1000);
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, h->sched, 100, 100));
	other = helper_make(spins_until, 2, 100);
	other->arg[1] = HZ / 20;
	helper_start(other);
	helper_join(other);
	CHECK(shared[1] > seen);
}

/* turns */

static u64 alarm;

static void wakes_on_alarm(struct helper *self)
{
	for (;;)
		ERR(SYS(L4_SYS_WAIT, alarm, 0), OK);
}

/* Runs act for 50 ms; returns true if a thread of the same priority, which counts in shared[2], has run meanwhile. */
static int peer_runs_beside(void (*act)(struct helper *), u64 max_priority)
{
	struct helper *urgent = helper_make(wakes_on_alarm, 0, 120), *a = helper_make(act, 1, 100);
	struct helper *b = helper_make(spins_until, 2, 100);

	alarm = obj_new(L4_TYPE_NOTIFICATION, 0);
	b->arg[1] = HZ / 50;
	a->arg[1] = HZ / 20;
	a->arg[2] = sched_new(10000, 10000);
	MUST(INV(a->thread, L4_THREAD_SET_SCHED, a->sched, 100, max_priority));
	helper_start(urgent);
	helper_start(a);
	helper_start(b);
	helper_join(a);
	helper_join(b);
	return shared[4] > 0;
}

static void is_preempted_often(struct helper *self)
{
	for (u64 start = l4_counter(); l4_counter() - start < self->arg[1];)
		SYS(L4_SYS_SIGNAL, alarm, 0);
	shared[4] = shared[2];
}

TEST(sched_preempted_thread_keeps_its_slice) { CHECK(peer_runs_beside(is_preempted_often, 100)); }

static void changes_its_priority(struct helper *self)
{
	for (u64 start = l4_counter(), i = 0; l4_counter() - start < self->arg[1]; i++)
		ERR(INV(self->thread, L4_THREAD_SET_SCHED, self->sched, 100 + (i & 1), 101), OK);
	shared[4] = shared[2];
}

TEST(sched_change_of_priority_gives_no_turn_out_of_order) { CHECK(peer_runs_beside(changes_its_priority, 101)); }

static void changes_its_context(struct helper *self)
{
	for (u64 start = l4_counter(), i = 0; l4_counter() - start < self->arg[1]; i++)
		ERR(INV(self->thread, L4_THREAD_SET_SCHED, i & 1 ? self->sched : self->arg[2], 100, 100), OK);
	shared[4] = shared[2];
}

TEST(sched_several_contexts_give_no_turn_out_of_order) { CHECK(peer_runs_beside(changes_its_context, 100)); }

static void starts_peer_and_spins(struct helper *self)
{
	helper_start((struct helper *)self->arg[1]);
	shared[5] = l4_counter();
	while (!shared[6])
		arch_relax();
}

static void notes_time(struct helper *self) { shared[6] = l4_counter(); }

/* A thread that becomes ready behind one with a large budget runs after that one's slice, not after its budget. */
TEST(sched_limited_thread_has_slices)
{
	struct helper *limited = helper_make(starts_peer_and_spins, 1, 100);
	struct helper *peer = helper_make(notes_time, 2, 100);

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, limited->sched, 50000, 60000));
	limited->arg[1] = (u64)peer;
	helper_start(limited);
	helper_join(peer);
	helper_join(limited);
	CHECK(shared[6] - shared[5] < HZ / 1000000 * (L4_TIMESLICE_US + 500));
}

/* returns to guest user mode */

static u64 bell;

static void counts_bells(struct helper *self)
{
	for (;;) {
		ERR(SYS(L4_SYS_WAIT, bell, 0), OK);
		shared[1]++;
	}
}

static void enters_with_queued_signal(struct helper *self)
{
	guest_init();
	for (u64 i = 1; i < 20; i++) {
		flush(bell, L4_FLUSH_SIGNAL, 0, 0);
		user_call(PROGRAM(load), CODE_VADDR, 0);
		EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
		EQ(shared[1], i);
	}
}

/* A signal in the flush queue wakes a thread of higher priority, which runs before the guest's user mode. */
TEST(sched_urgent_thread_before_guest_user_mode)
{
	struct helper *urgent = helper_make(counts_bells, 0, 200);

	bell = obj_new(L4_TYPE_NOTIFICATION, 0);
	guest_make(enters_with_queued_signal);
	helper_start(urgent);
	guest_run();
}
