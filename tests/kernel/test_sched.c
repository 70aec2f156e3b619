/* SPDX-License-Identifier: GPL-2.0-only */
/* Scheduling: priorities, round robin, yield, budgets, passive servers, and lost SchedContexts. */
#include "harness.h"

#define HZ (boot_info->counter_hz)

static volatile u64 order[64];
static volatile u64 order_count;

static void writes_order(struct helper *self)
{
	order[order_count++] = self->arg[0];
}

TEST(sched_higher_priority_first)
{
	static const u64 priority[] = {50, 120, 80, 200, 10};
	struct helper *h[5];

	order_count = 0;
	for (u64 i = 0; i < 5; i++)
		helper_start(h[i] = helper_make(writes_order, priority[i], priority[i]));
	for (u64 i = 0; i < 5; i++)
		helper_join(h[(u64[]){3, 1, 2, 0, 4}[i]]);
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

/* Two that never yield share the time; a third, lower one gets none of it. */
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

/* One fifth of the time, and what is left goes to a lower priority. */
TEST(sched_budget_limits)
{
	struct helper *limited = helper_make(spins_until, 1, 100), *rest = helper_make(spins_until, 2, 50);

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, limited->sched, 2000, 10000));
	limited->arg[1] = ~0UL;
	rest->arg[1] = HZ / 5;
	helper_start(limited);
	helper_start(rest);
	helper_join(rest);
	print("# budget 2/10: limited %lu, rest %lu\n", shared[1], shared[2]);
	CHECK(shared[1] * 8 > shared[2]); /* it gets about a quarter of what the rest gets */
	CHECK(shared[1] < 3 * shared[2]);
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

/* passive servers */

static u64 service, service_reply;

static void serves(struct helper *self)
{
	struct sys r = recv(service, service_reply);

	for (;;) {
		r = sys(L4_SYS_REPLY_RECV, service, TAG(r.m[0] + 1, 1, 0), (u64[6]){r.m[0] * 2},
			service_reply);
		if (r.error)
			return;
	}
}

static void calls(struct helper *self)
{
	for (u64 i = 0; i < 10; i++) {
		struct sys r = SYS(L4_SYS_CALL, service, TAG(0, 1, 0), i);

		ERR(r, OK);
		EQ(r.m[0], 2 * i);
		EQ(LABEL(r.tag), i + 1);
	}
	shared[1]++;
}

static void nothing(struct helper *self) {}

/* Starts a server that waits in RECV, then takes its SchedContext away. */
static struct helper *passive_server(u64 priority)
{
	struct helper *server, *h;

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	server = helper_make(serves, 0, priority);
	helper_start(server);
	h = helper_make(nothing, 0, 1);
	helper_start(h);
	helper_join(h);
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, priority, priority));
	return server;
}

TEST(sched_passive_server_runs_on_its_callers_time)
{
	struct helper *a, *b;

	passive_server(120);
	a = helper_make(calls, 0, 100);
	b = helper_make(calls, 0, 90);
	helper_start(a);
	helper_start(b);
	helper_join(a);
	helper_join(b);
	EQ(shared[1], 2);
	/* also of lower priority than its caller */
	passive_server(20);
	a = helper_make(calls, 0, 100);
	helper_start(a);
	helper_join(a);
	EQ(shared[1], 3);
}

static void serves_and_spins(struct helper *self)
{
	recv(service, service_reply);
	for (;;)
		shared[3]++;
}

static void calls_once(struct helper *self)
{
	shared[4] = 1;
	shared[5] = SYS(L4_SYS_CALL, service, 0).error;
	shared[4] = 2;
}

/* Until the server works for its caller. */
static void waits_for_service(struct helper *self)
{
	while (!shared[3])
		SYS(L4_SYS_YIELD, 0, 0);
}

/* The caller of a passive server that never answers can be cancelled, and gets its time back. */
TEST(sched_donated_time_comes_back_when_cancelled)
{
	struct helper *server, *h, *other;

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	server = helper_make(serves_and_spins, 0, 100);
	helper_start(server);
	other = helper_make(nothing, 0, 1);
	helper_start(other);
	helper_join(other);
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 100, 100));
	h = helper_make(calls_once, 0, 100);
	helper_start(h);
	other = helper_make(waits_for_service, 0, 100);
	helper_start(other);
	helper_join(other);
	EQ(shared[4], 1);
	CHECK(shared[3] > 0);
	ERR(slot_delete(service_reply), OK);
	helper_join(h);
	EQ(shared[4], 2);
	EQ(shared[5], L4_ERR_CANCELLED);
}

/* Deleting the SchedContext that is lent must leave neither side with it. */
TEST(sched_lent_context_deleted)
{
	struct helper *server, *h, *other;

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	server = helper_make(serves_and_spins, 0, 100);
	helper_start(server);
	other = helper_make(nothing, 0, 1);
	helper_start(other);
	helper_join(other);
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 100, 100));
	h = helper_make(calls_once, 0, 100);
	helper_start(h);
	other = helper_make(waits_for_service, 0, 100);
	helper_start(other);
	helper_join(other);
	ERR(slot_delete(h->sched), OK);
	ERR(slot_delete(service_reply), OK);
	other = helper_make(nothing, 0, 1);
	helper_start(other);
	helper_join(other);
	EQ(shared[4], 1); /* nobody runs: no time left */
	h->sched = sched_new(1000, 1000);
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, h->sched, 100, 100));
	helper_join(h);
	EQ(shared[5], L4_ERR_CANCELLED);
}

static void calls_for_ever(struct helper *self)
{
	for (u64 i = 0; !shared[9]; i++) {
		ERR(SYS(L4_SYS_CALL, service, TAG(0, 1, 0), i), OK);
		shared[self->arg[0]]++;
	}
}

/* Calls to a server of higher priority must not keep a caller's peers from their turn. */
TEST(sched_round_robin_among_callers)
{
	struct helper *server, *a, *b, *spinner;

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	server = helper_make(serves, 0, 120);
	helper_start(server);
	a = helper_make(calls_for_ever, 1, 100);
	b = helper_make(calls_for_ever, 2, 100);
	spinner = helper_make(spins_until, 3, 100);
	spinner->arg[1] = HZ / 10;
	helper_start(a);
	helper_start(b);
	helper_start(spinner);
	helper_join(spinner);
	shared[9] = 1;
	helper_join(a);
	helper_join(b);
	CHECK(shared[1] > 10 && shared[2] > 10 && shared[3] > 10);
}

/* A budget counts what is spent in a passive server, too. */
TEST(sched_budget_is_spent_in_the_server)
{
	struct helper *server, *client, *rest;

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	server = helper_make(serves_and_spins, 0, 120);
	helper_start(server);
	rest = helper_make(nothing, 0, 1);
	helper_start(rest);
	helper_join(rest);
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 120, 120));
	client = helper_make(calls_once, 0, 100);
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, client->sched, 1000, 10000));
	helper_start(client);
	rest = helper_make(spins_until, 2, 50);
	rest->arg[1] = HZ / 10;
	helper_start(rest);
	helper_join(rest); /* the server spins for ever, at a higher priority, but on a tenth of the time */
	CHECK(shared[3] > 0 && shared[2] > 0);
}
