/* SPDX-License-Identifier: GPL-2.0-only */
/* SchedContexts that callers lend to passive servers: who has them, and that they come back. */
#include "harness.h"

#define HZ (boot_info->counter_hz)

static void spins_until(struct helper *self)
{
	u64 start = l4_counter();

	while (l4_counter() - start < self->arg[1]) {
		shared[self->arg[0]]++;
		shared[8] = self->arg[0];
	}
}

static u64 service, service_reply;

static void serves(struct helper *self)
{
	struct sys r = recv(service, service_reply);

	for (;;) {
		r = sys(L4_SYS_REPLY_RECV, service, TAG(r.m[0] + 1, 1, 0), (u64[6]){ r.m[0] * 2 }, service_reply);
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

/* Makes the Endpoint `service` and starts a server, which waits there when this returns. */
static struct helper *server_make(void (*run)(struct helper *), u64 priority)
{
	struct helper *server = helper_make(run, 0, priority);

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	helper_start(server);
	helper_settle();
	return server;
}

/* A server that waits, and has no SchedContext: it runs on its callers' time. */
static struct helper *passive_server(void (*run)(struct helper *), u64 priority)
{
	struct helper *server = server_make(run, priority);

	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, priority, priority));
	return server;
}

TEST(sched_passive_server_runs_on_its_callers_time)
{
	struct helper *a, *b;

	passive_server(serves, 120);
	a = helper_make(calls, 0, 100);
	b = helper_make(calls, 0, 90);
	helper_start(a);
	helper_start(b);
	helper_join(a);
	helper_join(b);
	EQ(shared[1], 2);
	/* a server of lower priority than its caller */
	passive_server(serves, 20);
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

static void yields_until_served(struct helper *self)
{
	while (!shared[3])
		SYS(L4_SYS_YIELD, 0, 0);
}

/* Lets others run until the server works for its caller. */
static void wait_for_service(void)
{
	struct helper *h = helper_make(yields_until_served, 0, 100);

	helper_start(h);
	helper_join(h);
}

/* Starts a caller of a passive server that never answers; it has lent its time when this returns. */
static struct helper *caller_lends(void)
{
	struct helper *h = helper_make(calls_once, 0, 100);

	helper_start(h);
	wait_for_service();
	return h;
}

/* The caller of a passive server that never answers can be cancelled, and gets its time back. */
TEST(sched_donated_time_comes_back_when_cancelled)
{
	struct helper *h;

	passive_server(serves_and_spins, 100);
	h = caller_lends();
	EQ(shared[4], 1);
	CHECK(shared[3] > 0);
	ERR(slot_delete(service_reply), OK);
	helper_join(h);
	EQ(shared[4], 2);
	EQ(shared[5], L4_ERR_CANCELLED);
}

/* When a lent SchedContext is deleted, neither caller nor server has time. */
TEST(sched_lent_context_deleted)
{
	struct helper *h;

	passive_server(serves_and_spins, 100);
	h = caller_lends();
	ERR(slot_delete(h->sched), OK);
	ERR(slot_delete(service_reply), OK);
	helper_settle();
	EQ(shared[4], 1); /* nobody runs: neither has time */
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

/* Threads that call a server of higher priority still share their time with others of their own priority. */
TEST(sched_round_robin_among_callers)
{
	struct helper *a, *b, *spinner;

	server_make(serves, 120);
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

/* Time that a passive server uses is charged to its caller's budget. */
TEST(sched_budget_is_spent_in_the_server)
{
	struct helper *client, *rest;

	passive_server(serves_and_spins, 120);
	client = helper_make(calls_once, 0, 100);
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, client->sched, 1000, 10000));
	helper_start(client);
	rest = helper_make(spins_until, 2, 50);
	rest->arg[1] = HZ / 10;
	helper_start(rest);
	helper_join(rest); /* the server spins for ever, at a higher priority, but on a tenth of the time */
	CHECK(shared[3] > 0 && shared[2] > 0);
}

/* messages that come without time */

/* SEND to a passive server fails, because it brings no time: the server goes on waiting for calls. */
TEST(lending_server_refuses_messages_without_time)
{
	struct helper *h, *server = passive_server(serves, 120);

	ERR(SYS(L4_SYS_SEND, service, TAG(0, 1, 0), 1), UNBOUND);
	ERR(SYS(L4_SYS_NB_SEND, service, TAG(0, 1, 0), 1), UNBOUND);
	h = helper_make(calls, 0, 100);
	helper_start(h);
	helper_join(h);
	/* a server with a SchedContext receives them */
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, server->sched, 120, 120));
	ERR(SYS(L4_SYS_SEND, service, TAG(0, 1, 0), 1), OK);
}

static void sends_once(struct helper *self) { shared[2] = SYS(L4_SYS_SEND, service, TAG(0, 1, 0), 1).error; }

static void calls_and_lets_others_queue(struct helper *self)
{
	helper_start((struct helper *)self->arg[1]);
	helper_start((struct helper *)self->arg[2]);
	calls(self);
}

/* The same for a message that was queued while the server worked: callers behind it are served. */
TEST(lending_server_skips_queued_messages_without_time)
{
	struct helper *a, *b, *sender;

	passive_server(serves, 90);
	a = helper_make(calls_and_lets_others_queue, 0, 100);
	sender = helper_make(sends_once, 0, 95);
	b = helper_make(calls, 0, 95);
	shared[2] = 99;
	a->arg[1] = (u64)sender;
	a->arg[2] = (u64)b;
	helper_start(a);
	helper_join(a);
	helper_join(b);
	helper_join(sender);
	EQ(shared[1], 2);
	EQ(shared[2], L4_ERR_UNBOUND);
}

static void takes_signal(struct helper *self)
{
	struct sys r = recv(service, service_reply);

	shared[2] = r.badge;
	shared[3] = r.tag;
	for (;;)
		r = sys(L4_SYS_REPLY_RECV, service, TAG(1, 1, 0), (u64[6]){ 0 }, service_reply);
}

/* A signal of a bound Notification is not delivered while the receiver has no time of its own. */
TEST(lending_signals_wait_for_time)
{
	struct helper *server, *h;
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0);

	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	server = helper_make(takes_signal, 0, 120);
	MUST(INV(server->thread, L4_THREAD_BIND_NOTIFICATION, n));
	helper_start(server);
	helper_settle();
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 120, 120));
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK);
	h = helper_make(calls_once, 0, 100);
	helper_start(h);
	helper_join(h);
	EQ(shared[5], L4_ERR_OK);
	EQ(shared[2], 0);
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 1);
	/* the same server, woken by the time that it is given */
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK);
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, server->sched, 120, 120));
	helper_settle();
	ERR(SYS(L4_SYS_POLL, n, 0), BUSY); /* no word, and bound */
}

/* A passive server whose priority is changed while it works keeps the time that it was lent. */
TEST(lending_change_of_priority_keeps_lent_time)
{
	struct helper *server = passive_server(serves_and_spins, 100), *other;

	caller_lends();
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 110, 110));
	shared[3] = 0;
	other = helper_make(spins_until, 2, 110);
	other->arg[1] = HZ / 50;
	helper_start(other);
	helper_join(other);
	CHECK(shared[3] > 0);
}

/* A calls B, B calls C, all on A's time. */

static u64 second, second_reply;
static struct helper *a, *b, *c;

static void forwards(struct helper *self)
{
	recv(service, service_reply);
	for (;;) {
		shared[6] = SYS(L4_SYS_CALL, second, TAG(0, 0, 0)).error;
		sys(L4_SYS_REPLY_RECV, service, TAG(0, 0, 0), (u64[6]){ 0 }, service_reply);
	}
}

static void stays_with_the_second(struct helper *self)
{
	recv(second, second_reply);
	for (;;)
		shared[3]++;
}

static void calls_then_counts(struct helper *self)
{
	shared[5] = SYS(L4_SYS_CALL, service, 0).error;
	shared[1]++;
}

static void lend_twice(void)
{
	service = obj_new(L4_TYPE_ENDPOINT, 0);
	service_reply = obj_new(L4_TYPE_REPLY, 0);
	second = obj_new(L4_TYPE_ENDPOINT, 0);
	second_reply = obj_new(L4_TYPE_REPLY, 0);
	b = helper_make(forwards, 0, 100);
	c = helper_make(stays_with_the_second, 0, 100);
	helper_start(b);
	helper_start(c);
	helper_settle();
	MUST(INV(b->thread, L4_THREAD_SET_SCHED, 0, 100, 100));
	MUST(INV(c->thread, L4_THREAD_SET_SCHED, 0, 100, 100));
	a = helper_make(calls_then_counts, 0, 100);
	shared[5] = shared[6] = 99;
	helper_start(a);
	wait_for_service();
}

static void stop(struct helper *h) { MUST(INV(h->thread, L4_THREAD_SUSPEND)); }

/* When A's call ends, A has its SchedContext back, and the end of B's call does not move it again. */
TEST(lending_cancelled_in_the_middle)
{
	lend_twice();
	stop(a);
	helper_start(a);
	stop(b);
	helper_settle();
	EQ(shared[1], 1);
	EQ(shared[5], L4_ERR_CANCELLED);
}

TEST(lending_answered_in_the_middle)
{
	lend_twice();
	ERR(SYS(L4_SYS_SEND, service_reply, TAG(0, 0, 0)), OK);
	ERR(slot_delete(second_reply), OK);
	ERR(slot_delete(b->thread), OK);
	helper_settle();
	EQ(shared[1], 1);
	EQ(shared[5], L4_ERR_OK);
}

TEST(lending_reply_deleted_in_the_middle)
{
	lend_twice();
	ERR(slot_delete(service_reply), OK);
	stop(b);
	stop(c);
	helper_settle();
	EQ(shared[1], 1);
	EQ(shared[5], L4_ERR_CANCELLED);
}

/* When B's call to C ends, B has the SchedContext, and A gets it back with B's answer. */
TEST(lending_cancelled_at_the_top)
{
	lend_twice();
	stop(b);
	helper_settle();
	EQ(shared[1], 0);
	helper_start(b);
	helper_settle();
	EQ(shared[6], L4_ERR_CANCELLED);
	EQ(shared[1], 1);
	EQ(shared[5], L4_ERR_OK);
}

/* When B is deleted, nobody runs on the SchedContext until A's call ends. */
TEST(lending_server_deleted)
{
	lend_twice();
	ERR(slot_delete(b->thread), OK);
	ERR(slot_delete(c->thread), OK);
	helper_settle();
	EQ(shared[1], 0);
	ERR(slot_delete(service_reply), OK);
	helper_settle();
	EQ(shared[1], 1);
}

/* A thread that was given the SchedContext by SET_SCHED keeps it when the calls end. */
TEST(lending_ends_when_the_owner_gives_the_time_away)
{
	struct helper *other = helper_make(spins_until, 2, 90);

	lend_twice();
	ERR(slot_delete(b->thread), OK);
	ERR(slot_delete(c->thread), OK);
	MUST(INV(other->thread, L4_THREAD_SET_SCHED, a->sched, 90, 90));
	other->arg[1] = HZ / 1000;
	ERR(slot_delete(service_reply), OK);
	helper_start(other);
	helper_settle();
	CHECK(shared[2] > 0);
	EQ(shared[1], 0);
	MUST(INV(a->thread, L4_THREAD_SET_SCHED, other->sched, 100, 100));
	helper_settle();
	EQ(shared[1], 1);
}

/* When B has its own SchedContext before C answers, C keeps no time, and A gets back what it lent. */
TEST(lending_caller_has_time_of_its_own_meanwhile)
{
	lend_twice();
	MUST(INV(b->thread, L4_THREAD_SET_SCHED, b->sched, 100, 100));
	ERR(SYS(L4_SYS_SEND, second_reply, TAG(0, 0, 0)), OK);
	shared[3] = 0;
	helper_settle();
	EQ(shared[3], 0);
	EQ(shared[1], 1);
	EQ(shared[5], L4_ERR_OK);
}
