/* SPDX-License-Identifier: GPL-2.0-only */
/* Endpoint: SEND, NB_SEND, RECV, NB_RECV, CALL, REPLY_RECV, queues, badges, deletion while waiting. */
#include "harness.h"

static u64 ep, reply;

static void fixture(void)
{
	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
}

static void sends(struct helper *self)
{
	shared[1] = SYS(L4_SYS_SEND, self->arg[1], TAG(5, 6, 0), self->arg[0], 2, 3, 4, 5, 6).error;
	shared[2]++;
}

TEST(endpoint_send_carries_registers_and_badge)
{
	struct helper *h = helper_make(sends, 11, 100);
	struct sys r;

	fixture();
	h->arg[1] = cap_mint(ep, L4_RIGHT_WRITE, 0xbad9e);
	shared[1] = 99;
	helper_start(h);
	r = recv(ep, 0);
	ERR(r, OK);
	EQ(r.badge, 0xbad9e);
	EQ(r.tag, TAG(5, 6, 0));
	EQ(r.m[0], 11);
	for (u64 i = 1; i < 6; i++)
		EQ(r.m[i], i + 1);
	helper_join(h);
	EQ(shared[1], L4_ERR_OK);
}

TEST(endpoint_queue_is_first_in_first_out)
{
	struct helper *h[4];

	fixture();
	for (u64 i = 0; i < 4; i++) {
		h[i] = helper_make(sends, i, 100 - i);
		h[i]->arg[1] = ep;
		helper_start(h[i]);
	}
	/* they queue up while we wait for something else */
	struct helper *last = helper_make(sends, 9, 50);

	last->arg[1] = obj_new(L4_TYPE_ENDPOINT, 0);
	helper_start(last);
	ERR(recv(last->arg[1], 0), OK);
	for (u64 i = 0; i < 4; i++)
		EQ(recv(ep, 0).m[0], i);
	for (u64 i = 0; i < 4; i++)
		helper_join(h[i]);
}

TEST(endpoint_nonblocking_forms)
{
	struct helper *h = helper_make(sends, 1, 100);

	fixture();
	ERR(SYS(L4_SYS_NB_SEND, ep, 0), AGAIN);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
	ERR(sys(L4_SYS_NB_RECV, ep, 0, (u64[6]){ 0 }, reply), AGAIN);
	h->arg[1] = ep;
	helper_start(h);
	helper_start(helper_make(sends, 2, 99)); /* to slot 0: fails and ends */
	helper_join(h + 1);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), OK);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
	helper_join(h);
}

static void receives(struct helper *self)
{
	struct sys r = recv(ep, self->arg[1]);

	shared[1] = r.error;
	shared[2] = r.m[0];
	shared[3] = r.badge;
}

TEST(endpoint_nb_send_reaches_a_waiting_receiver)
{
	struct helper *h = helper_make(receives, 0, 100), *other = helper_make(sends, 0, 50);

	fixture();
	helper_start(h);
	helper_start(other);
	helper_join(other);
	ERR(SYS(L4_SYS_NB_SEND, ep, TAG(0, 1, 0), 321), OK);
	helper_join(h);
	EQ(shared[1], L4_ERR_OK);
	EQ(shared[2], 321);
	EQ(shared[3], 0);
}

TEST(endpoint_rights_and_types)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0);

	fixture();
	ERR(SYS(L4_SYS_SEND, cap_copy(ep, L4_RIGHT_READ), 0), RIGHTS);
	ERR(SYS(L4_SYS_NB_SEND, cap_copy(ep, L4_RIGHT_READ), 0), RIGHTS);
	ERR(SYS(L4_SYS_CALL, cap_copy(ep, L4_RIGHT_READ), 0), RIGHTS);
	ERR(SYS(L4_SYS_RECV, cap_copy(ep, L4_RIGHT_WRITE), 0), RIGHTS);
	ERR(SYS(L4_SYS_NB_RECV, cap_copy(ep, L4_RIGHT_WRITE), 0), RIGHTS);
	ERR(sys(L4_SYS_REPLY_RECV, cap_copy(ep, L4_RIGHT_WRITE), 0, (u64[6]){ 0 }, reply), RIGHTS);
	ERR(sys(L4_SYS_RECV, ep, 0, (u64[6]){ 0 }, cap_copy(reply, L4_RIGHT_READ)), RIGHTS);
	ERR(SYS(L4_SYS_SEND, n, 0), TYPE);
	ERR(SYS(L4_SYS_CALL, n, 0), TYPE);
	ERR(SYS(L4_SYS_CALL, reply, 0), TYPE);
	ERR(SYS(L4_SYS_RECV, n, 0), TYPE);
	ERR(SYS(L4_SYS_SEND, 4000, 0), CAP);
	ERR(SYS(L4_SYS_RECV, 4000, 0), CAP);
	ERR(SYS(L4_SYS_CALL, ~0UL, 0), CAP);
	ERR(recv(ep, 4000), CAP);
	ERR(recv(ep, n), TYPE);
	ERR(sys(L4_SYS_REPLY_RECV, ep, 0, (u64[6]){ 0 }, 0), CAP);
	ERR(INV(ep, 0), OP);
	ERR(INV(reply, 0), OP);
}

static void calls(struct helper *self)
{
	struct sys r = SYS(L4_SYS_CALL, ep, TAG(1, 2, 0), 10, 20);

	shared[1] = r.error;
	shared[2] = r.tag;
	shared[3] = r.m[0];
	shared[4] = r.badge;
	shared[5]++;
}

TEST(endpoint_call_and_reply)
{
	struct helper *h = helper_make(calls, 0, 100);
	struct sys r;

	fixture();
	helper_start(h);
	r = recv(ep, reply);
	EQ(r.tag, TAG(1, 2, 0));
	EQ(r.m[1], 20);
	EQ(shared[5], 0);
	ERR(SYS(L4_SYS_SEND, reply, TAG(7, 1, 0), 30), OK);
	helper_join(h);
	EQ(shared[1], L4_ERR_OK);
	EQ(shared[2], TAG(7, 1, 0));
	EQ(shared[3], 30);
	EQ(shared[4], 0);
}

TEST(endpoint_reply_recv)
{
	struct helper *a = helper_make(calls, 0, 100), *b = helper_make(calls, 0, 100);
	struct sys r;

	fixture();
	helper_start(a);
	helper_start(b);
	/* the first REPLY_RECV has nobody to answer: it only receives */
	r = sys(L4_SYS_REPLY_RECV, ep, 0, (u64[6]){ 0 }, reply);
	ERR(r, OK);
	EQ(r.m[0], 10);
	r = sys(L4_SYS_REPLY_RECV, ep, TAG(8, 1, 0), (u64[6]){ 40 }, reply);
	ERR(r, OK);
	EQ(r.m[0], 10);
	ERR(SYS(L4_SYS_SEND, reply, TAG(8, 1, 0), 41), OK);
	helper_join(a);
	helper_join(b);
	EQ(shared[5], 2);
}

TEST(endpoint_call_without_reply_object_fails)
{
	struct helper *h = helper_make(calls, 0, 100), *r = helper_make(receives, 0, 120);

	fixture();
	/* the caller waits first: the receiver fails its call and finds no other sender */
	helper_start(h);
	helper_start(r);
	helper_join(h);
	EQ(shared[1], L4_ERR_UNBOUND);
	/* receiver first: it stays */
	h = helper_make(calls, 0, 100);
	helper_start(h);
	helper_join(h);
	EQ(shared[1], L4_ERR_UNBOUND);
	ERR(SYS(L4_SYS_NB_SEND, ep, TAG(0, 1, 0), 1), OK);
	helper_join(r);
	EQ(shared[2], 1);
}

TEST(endpoint_deleted_with_queue)
{
	struct helper *h[3], *other = helper_make(sends, 0, 50);

	fixture();
	for (int i = 0; i < 3; i++) {
		h[i] = helper_make(sends, 0, 100);
		h[i]->arg[1] = ep;
		helper_start(h[i]);
	}
	helper_start(other);
	helper_join(other);
	shared[2] = 0;
	ERR(slot_delete(ep), OK);
	for (int i = 0; i < 3; i++)
		helper_join(h[i]);
	EQ(shared[1], L4_ERR_CANCELLED);
	EQ(shared[2], 3);
}

/* A sender that waits is cancelled when its capability is revoked: no receiver sees a revoked badge. */
TEST(endpoint_badged_capability_deleted_cancels_its_senders)
{
	struct helper *h = helper_make(sends, 1, 100);

	fixture();
	h->arg[1] = cap_mint(ep, L4_RIGHT_WRITE, 5);
	helper_start(h);
	helper_start(helper_make(sends, 2, 50));
	helper_join(h + 1);
	helper_start(helper_make(sends, 3, 49));
	h[2].arg[1] = ep;
	helper_start(helper_make(sends, 4, 48));
	helper_join(h + 3);
	ERR(slot_delete(h->arg[1]), OK);
	helper_join(h);
	EQ(shared[1], L4_ERR_CANCELLED);
	EQ(recv(ep, 0).m[0], 3); /* the other's */
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
	helper_join(h + 2);
}

static void echo(struct helper *self)
{
	struct sys r = recv(ep, reply);

	while (!r.error)
		r = sys(L4_SYS_REPLY_RECV, ep, r.tag, r.m, reply);
}

/* Many round trips between two address spaces, every word checked. */
TEST(endpoint_round_trips_between_spaces)
{
	u64 seed = 5;

	fixture();
	helper_start(helper_fork(echo, 0, 100));
	for (u64 i = 0; i < 2000; i++) {
		u64 w[6];
		struct sys r;

		for (int k = 0; k < 6; k++)
			w[k] = random64(&seed);
		r = sys(L4_SYS_CALL, ep, TAG(i, 6, 0), w, 0);
		if (!ERR(r, OK) || !EQ(r.tag, TAG(i, 6, 0)) || !EQ(memcmp(w, r.m, sizeof(w)), 0))
			return;
	}
}

/* A bound Notification wakes RECV. */
TEST(endpoint_bound_notification)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), signal = cap_mint(n, L4_RIGHT_WRITE, 6);
	struct helper *h = helper_make(receives, 0, 100), *other = helper_make(sends, 0, 50);

	fixture();
	MUST(INV(h->thread, L4_THREAD_BIND_NOTIFICATION, n));
	helper_start(h);
	helper_start(other);
	helper_join(other);
	ERR(SYS(L4_SYS_SIGNAL, signal, 0), OK);
	helper_join(h);
	EQ(shared[1], L4_ERR_OK);
	EQ(shared[3], 6);
	/* no thread is left in the queue, and the word was taken */
	ERR(SYS(L4_SYS_NB_SEND, ep, 0), AGAIN);
	ERR(SYS(L4_SYS_POLL, n, 0), BUSY);
	/* signalled before: RECV returns at once; the same for ourselves and NB_RECV */
	h = helper_make(receives, 0, 100);
	MUST(slot_delete((h - 2)->thread));
	MUST(INV(h->thread, L4_THREAD_BIND_NOTIFICATION, n));
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK);
	helper_start(h);
	helper_join(h);
	EQ(shared[3], 1);
	MUST(slot_delete(h->thread));
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, n));
	ERR(SYS(L4_SYS_SIGNAL, signal, 0), OK);
	EQ(SYS(L4_SYS_NB_RECV, ep, 0).badge, 6);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, 0));
}

static void answers_badges(struct helper *self)
{
	struct sys r = recv(ep, reply);

	while (!r.error)
		r = sys(L4_SYS_REPLY_RECV, ep, TAG(1, 1, 0), (u64[6]){ r.badge }, reply);
}

static void calls_badged(struct helper *self)
{
	struct sys r = SYS(L4_SYS_CALL, self->arg[0], 0);

	shared[1] = r.error ? r.error << 32 : r.m[0];
	shared[2]++;
}

/* The fast path, which L4 takes when the other side waits already, makes the same checks. */
TEST(endpoint_rights_when_the_other_side_waits)
{
	struct helper *server = helper_make(answers_badges, 0, 120), *h;
	u64 weak;

	fixture();
	weak = cap_copy(ep, L4_RIGHT_READ | L4_RIGHT_GRANT);
	helper_start(server);
	h = helper_make(sends, 0, 50); /* slot 0: ends at once, when the server waits */
	helper_start(h);
	helper_join(h);
	ERR(SYS(L4_SYS_CALL, weak, 0), RIGHTS);
	ERR(SYS(L4_SYS_CALL, reply, 0), TYPE);
	ERR(SYS(L4_SYS_CALL, L4_ROOT_SLOT_THREAD, 0), TYPE);
	ERR(SYS(L4_SYS_CALL, 0, 0), CAP);
	ERR(SYS(L4_SYS_CALL, 1UL << L4_ROOT_CNODE_BITS, 0), CAP);
	ERR(SYS(L4_SYS_CALL, (1UL << 58) + ep, 0), CAP);
	/* callers of lower priority than the server, by capabilities with and without a badge */
	for (u64 i = 0; i < 3; i++) {
		h = helper_make(calls_badged, i ? cap_mint(ep, L4_RIGHT_WRITE, 70 + i) : weak, 100);
		helper_start(h);
		helper_join(h);
		EQ(shared[1], i ? 70 + i : (u64)L4_ERR_RIGHTS << 32);
	}
}

TEST(endpoint_reply_recv_rights_when_a_caller_waits)
{
	struct helper *h;
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0);

	fixture();
	h = helper_make(calls_badged, ep, 100);
	helper_start(h);
	ERR(recv(ep, reply), OK);
	shared[2] = 0;
#define REPLY_RECV(ep, reply) sys(L4_SYS_REPLY_RECV, ep, 0, (u64[6]){ 0 }, reply)
	ERR(REPLY_RECV(cap_copy(ep, L4_RIGHT_WRITE), reply), RIGHTS);
	ERR(REPLY_RECV(ep, cap_copy(reply, L4_RIGHT_READ)), RIGHTS);
	ERR(REPLY_RECV(n, reply), TYPE);
	ERR(REPLY_RECV(ep, n), TYPE);
	ERR(REPLY_RECV(4000, reply), CAP);
	ERR(REPLY_RECV(ep, 4000), CAP);
	EQ(shared[2], 0); /* none of these answered */
	ERR(SYS(L4_SYS_SEND, reply, TAG(0, 1, 0), 5), OK);
	helper_join(h);
	EQ(shared[1], 5);
}

/* Callers and servers with every order of priorities, and a third thread between them. */
TEST(endpoint_calls_across_priorities)
{
	static const u64 priority[][3] = {
		{ 100, 120, 110 }, { 120, 100, 110 }, { 100, 100, 100 }, { 100, 100, 101 }, { 100, 101, 100 }
	};

	for (u64 i = 0; i < 5; i++) {
		struct helper *server, *h, *third;

		fixture();
		server = helper_make(answers_badges, 0, priority[i][1]);
		h = helper_make(calls_badged, cap_mint(ep, L4_RIGHT_WRITE, 80 + i), priority[i][0]);
		third = helper_make(sends, 0, priority[i][2]);
		helper_start(server);
		helper_start(h);
		helper_start(third);
		helper_join(h);
		helper_join(third);
		EQ(shared[1], 80 + i);
		for (int k = 0; k < 3; k++)
			helper_forget();
	}
}
