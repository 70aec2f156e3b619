/* SPDX-License-Identifier: GPL-2.0-only */
/* Reply: one-shot, bound to one caller, nested calls, deletion. */
#include "harness.h"

static u64 ep, ep2, reply, reply2;

static void fixture(void)
{
	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	ep2 = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
	reply2 = obj_new(L4_TYPE_REPLY, 0);
}

static void calls(struct helper *self)
{
	struct sys r = SYS(L4_SYS_CALL, ep, TAG(0, 1, 0), self->arg[0]);

	shared[self->arg[0]] = r.error ? r.error : r.m[0];
}

TEST(reply_is_one_shot)
{
	struct helper *h = helper_make(calls, 1, 100);

	fixture();
	ERR(SYS(L4_SYS_SEND, reply, 0), UNBOUND);
	ERR(SYS(L4_SYS_NB_SEND, reply, 0), UNBOUND);
	helper_start(h);
	ERR(recv(ep, reply), OK);
	ERR(SYS(L4_SYS_SEND, cap_copy(reply, L4_RIGHT_READ), 0), RIGHTS);
	ERR(SYS(L4_SYS_SEND, reply, TAG(0, L4_MSG_WORDS + 1, 0)), ARG); /* the caller still waits */
	EQ(shared[1], 0);
	ERR(SYS(L4_SYS_NB_SEND, reply, TAG(0, 1, 0), 55), OK);
	ERR(SYS(L4_SYS_SEND, reply, TAG(0, 1, 0), 56), UNBOUND);
	helper_join(h);
	EQ(shared[1], 55);
}

TEST(reply_in_use_is_busy)
{
	struct helper *a = helper_make(calls, 1, 100), *b = helper_make(calls, 2, 100);
	u64 first;

	fixture();
	helper_start(a);
	helper_start(b);
	first = recv(ep, reply).m[0];
	ERR(recv(ep, reply), BUSY);
	EQ(recv(ep, reply2).m[0], 3 - first);
	/* answered in the other order */
	ERR(SYS(L4_SYS_SEND, reply2, TAG(0, 1, 0), 20), OK);
	helper_join(first == 1 ? b : a);
	EQ(shared[3 - first], 20);
	EQ(shared[first], 0);
	ERR(SYS(L4_SYS_SEND, reply, TAG(0, 1, 0), 10), OK);
	helper_join(first == 1 ? a : b);
	EQ(shared[first], 10);
}

TEST(reply_deleted_cancels_the_caller)
{
	struct helper *h = helper_make(calls, 1, 100);

	fixture();
	helper_start(h);
	ERR(recv(ep, reply), OK);
	ERR(slot_delete(reply), OK);
	helper_join(h);
	EQ(shared[1], L4_ERR_CANCELLED);
}

static void receives(struct helper *self) { shared[3] = recv(ep, reply).error; }

static void nothing(struct helper *self) {}

TEST(reply_deleted_cancels_the_receiver)
{
	struct helper *h = helper_make(receives, 0, 100), *later = helper_make(nothing, 0, 50);

	fixture();
	shared[3] = 99;
	helper_start(h);
	helper_start(later);
	helper_join(later); /* so h waits by now */
	ERR(sys(L4_SYS_NB_RECV, ep2, 0, (u64[6]){ 0 }, reply), BUSY);
	ERR(slot_delete(reply), OK);
	helper_join(h);
	EQ(shared[3], L4_ERR_CANCELLED);
	ERR(SYS(L4_SYS_NB_SEND, ep, 0), AGAIN);
}

TEST(reply_caller_deleted_frees_the_object)
{
	struct helper *h = helper_make(calls, 1, 100);

	fixture();
	helper_start(h);
	ERR(recv(ep, reply), OK);
	ERR(slot_delete(h->thread), OK);
	ERR(SYS(L4_SYS_SEND, reply, 0), UNBOUND);
	ERR(sys(L4_SYS_NB_RECV, ep, 0, (u64[6]){ 0 }, reply), AGAIN);
	EQ(shared[1], 0);
}

/* A server that calls another server while its own caller waits. */
static void middle(struct helper *self)
{
	struct sys r = recv(ep, reply);

	r = SYS(L4_SYS_CALL, ep2, TAG(0, 1, 0), r.m[0] + 100);
	ERR(SYS(L4_SYS_SEND, reply, TAG(0, 1, 0), r.m[0] + 1), OK);
}

TEST(reply_nested_calls)
{
	struct helper *h = helper_make(calls, 1, 100), *m = helper_make(middle, 0, 110);
	struct sys r;

	fixture();
	helper_start(h);
	helper_start(m);
	r = recv(ep2, reply2);
	EQ(r.m[0], 101);
	ERR(SYS(L4_SYS_SEND, reply2, TAG(0, 1, 0), 500), OK);
	helper_join(m);
	helper_join(h);
	EQ(shared[1], 501);
}
