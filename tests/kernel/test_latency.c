/* SPDX-License-Identifier: GPL-2.0-only */
/* How long the root pager's calls keep interrupts off. */
#include "meter.h"

#define ROOT       L4_ROOT_SLOT_CNODE
#define MANY       60000UL
#define CHAIN      16000UL
#define THREADS    2500UL
#define FRAMES     2000UL
#define CNODE_BITS (16 + L4_CNODE_SLOT_BITS)

/* Makes one call, checks its result, and prints how long it took and how long it kept interrupts off. */
static u64 check_call(const char *what, struct sys (*call)(u64, u64), u64 a, u64 b, u64 error)
{
	u64 start = l4_counter(), took, gap;

	EQ(call(a, b).error, error);
	took = l4_counter() - start;
	gap = meter_latest_us();
	print("# bench latency-%s %lu us in a call of %lu us\n", what, gap, meter_microseconds(took));
	CHECK(gap < METER_LIMIT_US);
	return took;
}

/* Four times as much takes four times as long, but for a turn of the meter. */
static bool is_four_times(u64 few, u64 many)
{
	return meter_microseconds(many) * 10 < (meter_microseconds(few) + METER_TURN_US) * 45;
}

static struct sys revoke(u64 slot, u64 unused) { return slot_revoke(slot); }
static struct sys delete(u64 slot, u64 unused) { return slot_delete(slot); }

/* Fills a CNode with capabilities to n; each is derived from n, or from the one before. */
static void mint_many(u64 cnode, u64 n, u64 count, bool chain)
{
	for (u64 k = 1; k <= count; k++) {
		bool first = !chain || k == 1;

		MUST(INV(cnode, L4_CNODE_MINT, k, first ? ROOT : cnode, first ? n : k - 1, L4_RIGHT_ALL, 0));
	}
}

TEST(latency_revoke_of_many)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, CNODE_BITS), n = obj_new(L4_TYPE_NOTIFICATION, 0), few, many;

	meter_start();
	mint_many(cnode, n, MANY / 4, false);
	few = check_call("revoke-quarter", revoke, n, 0, L4_ERR_OK);
	mint_many(cnode, n, MANY, false);
	many = check_call("revoke", revoke, n, 0, L4_ERR_OK);
	CHECK(is_four_times(few, many));
	EQ(INV(cnode, L4_CNODE_DELETE, MANY).error, L4_ERR_CAP);
	meter_stop();
}

TEST(latency_revoke_of_a_chain)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, CNODE_BITS), n = obj_new(L4_TYPE_NOTIFICATION, 0), few, many;

	meter_start();
	mint_many(cnode, n, CHAIN / 4, true);
	few = check_call("chain-quarter", revoke, n, 0, L4_ERR_OK);
	mint_many(cnode, n, CHAIN, true);
	many = check_call("chain", revoke, n, 0, L4_ERR_OK);
	CHECK(is_four_times(few, many));
	EQ(INV(cnode, L4_CNODE_DELETE, 1).error, L4_ERR_CAP);
	meter_stop();
}

/* Deleting a CNode deletes all that it holds before the call returns, however often it is preempted. */
TEST(latency_last_capability_of_a_cnode)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, CNODE_BITS), n = obj_new(L4_TYPE_NOTIFICATION, 0), derived = slot_new();
	u64 inner = slot_new();

	meter_start();
	MUST(INV(cnode, L4_CNODE_MINT, MANY, ROOT, n, L4_RIGHT_ALL, 0));
	MUST(INV(ROOT, L4_CNODE_MINT, derived, cnode, MANY, L4_RIGHT_ALL, 0));
	check_call("cnode-almost-empty", delete, cnode, 0, L4_ERR_OK);
	EQ(slot_type_error(derived), L4_ERR_CAP);
	EQ(slot_type_error(cnode), L4_ERR_CAP);

	cnode = obj_new(L4_TYPE_CNODE, CNODE_BITS);
	mint_many(cnode, n, MANY, false);
	MUST(INV(ROOT, L4_CNODE_MINT, derived, cnode, 1, L4_RIGHT_ALL, 0));
	/* and one CNode in the other */
	MUST(retype(test_untyped, L4_TYPE_CNODE, 10, inner, 1));
	MUST(INV(inner, L4_CNODE_MOVE, 1, ROOT, cnode));
	check_call("cnode", delete, inner, 0, L4_ERR_OK);
	EQ(slot_type_error(derived), L4_ERR_CAP);
	EQ(slot_type_error(inner), L4_ERR_CAP);
	ERR(slot_delete(inner), CAP);
	EQ(slot_type_error(n), L4_ERR_OP);
	meter_stop();
}

static u64 target;

static struct sys retype_many(u64 type, u64 count)
{
	return INV(test_untyped, L4_UNTYPED_RETYPE, type, 0, target, 1, count);
}

TEST(latency_retype_of_many)
{
	u64 taken = obj_new(L4_TYPE_ENDPOINT, 0), free_before;

	target = obj_new(L4_TYPE_CNODE, CNODE_BITS);
	meter_start();
	MUST(INV(target, L4_CNODE_MOVE, MANY, ROOT, taken));
	free_before = INV(test_untyped, L4_UNTYPED_INFO).m[2];
	check_call("retype-occupied", retype_many, L4_TYPE_ENDPOINT, MANY, L4_ERR_OCCUPIED);
	EQ(INV(test_untyped, L4_UNTYPED_INFO).m[2], free_before);
	EQ(INV(target, L4_CNODE_DELETE, MANY - 1).error, L4_ERR_CAP);
	EQ(INV(target, L4_CNODE_DELETE, MANY).error, L4_ERR_OK);
	check_call("retype", retype_many, L4_TYPE_ENDPOINT, MANY, L4_ERR_OK);
	EQ(INV(test_untyped, L4_UNTYPED_INFO).m[2], free_before - (MANY << L4_ENDPOINT_BITS));
	EQ(INV(target, L4_CNODE_DELETE, MANY).error, L4_ERR_OK);
	EQ(INV(target, L4_CNODE_DELETE, 1).error, L4_ERR_OK);
	EQ(INV(target, L4_CNODE_DELETE, MANY + 1).error, L4_ERR_CAP);
	check_call("threads", retype_many, L4_TYPE_THREAD, 1, L4_ERR_OK);
	EQ(INV(target, L4_CNODE_DELETE, 1).error, L4_ERR_OK);
	check_call("objects", delete, target, 0, L4_ERR_OK);
	meter_stop();
}

static struct sys retype_one(u64 type, u64 bits) { return retype(test_untyped, type, bits, target, 1); }

TEST(latency_of_large_objects)
{
	meter_start();
	target = slot_new();
	check_call("frame", retype_one, L4_TYPE_FRAME, 23, L4_ERR_OK);
	target = slot_new();
	check_call("vspace", retype_one, L4_TYPE_VSPACE, 23, L4_ERR_OK);
	meter_stop();
}

/* Makes Frames of 4 KiB and maps them into a VSpace. */
static u64 map_many(u64 vspace)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, CNODE_BITS), u = obj_new(L4_TYPE_UNTYPED, 23), page = slot_new();

	MUST(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_FRAME, L4_PAGE_BITS, cnode, 1, FRAMES));
	for (u64 k = 0; k < FRAMES; k++) {
		MUST(INV(ROOT, L4_CNODE_MOVE, page, cnode, k + 1));
		MUST(INV(vspace, L4_VSPACE_MAP, page, TEST_VADDR + k * L4_PAGE_SIZE, L4_RIGHT_READ));
		MUST(INV(cnode, L4_CNODE_MOVE, k + 1, ROOT, page));
	}
	return u;
}

TEST(latency_of_mapped_frames)
{
	u64 vspace = obj_new(L4_TYPE_VSPACE, 18), frames;

	meter_start();
	frames = map_many(vspace);
	check_call("frames", revoke, frames, 0, L4_ERR_OK);
	ERR(slot_delete(frames), OK);
	map_many(vspace);
	check_call("vspace-of-frames", delete, vspace, 0, L4_ERR_OK);
	meter_stop();
}

/* Makes threads that all run the same code without a stack. */
static void waits(u64 number_and_cap)
{
	for (;;)
		SYS(number_and_cap >> 32, number_and_cap & 0xffffffff, 0);
}

static void nothing(struct helper *self) {}

static u64 threads_new(u64 cnode, u64 vspace)
{
	u64 threads = slots_new(THREADS);

	MUST(retype(test_untyped, L4_TYPE_THREAD, 0, threads, THREADS));
	for (u64 k = 0; k < THREADS; k++)
		MUST(INV(threads + k, L4_THREAD_CONFIGURE, cnode, vspace, TEST_VADDR + k * L4_PAGE_SIZE, 0));
	return threads;
}

TEST(latency_of_bound_threads)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, 10), vspace = obj_new(L4_TYPE_VSPACE, 18), threads;

	meter_start();
	threads = threads_new(cnode, vspace);
	check_call("cnode-of-threads", delete, cnode, 0, L4_ERR_OK);
	check_call("vspace-of-threads", delete, vspace, 0, L4_ERR_OK);
	ERR(INV(threads, L4_THREAD_RESUME), UNBOUND);
	ERR(INV(threads + THREADS - 1, L4_THREAD_RESUME), UNBOUND);
	meter_stop();
}

/* Makes all threads wait at an object, by one system call that each repeats for ever. */
static u64 queue_all(u64 object, u64 number)
{
	u64 threads = threads_new(ROOT, L4_ROOT_SLOT_VSPACE), cnode = obj_new(L4_TYPE_CNODE, CNODE_BITS),
	    sc = slot_new();
	struct helper *h = helper_make(nothing, 0, 50);
	static u64 stack[64] __attribute__((aligned(16)));

	MUST(INV(test_untyped, L4_UNTYPED_RETYPE, L4_TYPE_SCHED_CONTEXT, 0, cnode, 1, THREADS));
	for (u64 k = 0; k < THREADS; k++) {
		MUST(INV(ROOT, L4_CNODE_MOVE, sc, cnode, k + 1));
		MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, sc, 10000, 10000));
		MUST(INV(threads + k, L4_THREAD_SET_SCHED, sc, 100, 100));
		MUST(INV(cnode, L4_CNODE_MOVE, k + 1, ROOT, sc));
		arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], waits, number << 32 | object,
		                (u64)(stack + 64));
		MUST(INV(threads + k, L4_THREAD_WRITE_REGS));
		MUST(INV(threads + k, L4_THREAD_RESUME));
	}
	helper_start(h);
	helper_join(h);
	return threads;
}

static void end_all(u64 threads)
{
	for (u64 k = 0; k < THREADS; k++)
		MUST(INV(threads + k, L4_THREAD_SUSPEND));
}

/* All threads wait at an object; then the object is deleted. */
static void queue_and_delete(const char *what, u64 type, u64 number)
{
	u64 object = obj_new(type, 0), threads = queue_all(object, number);

	meter_start();
	check_call(what, delete, object, 0, L4_ERR_OK);
	end_all(threads);
	meter_stop();
}

TEST(latency_of_queued_senders) { queue_and_delete("senders", L4_TYPE_ENDPOINT, L4_SYS_SEND); }
TEST(latency_of_queued_receivers) { queue_and_delete("receivers", L4_TYPE_ENDPOINT, L4_SYS_RECV); }
TEST(latency_of_waiting_threads) { queue_and_delete("waiting", L4_TYPE_NOTIFICATION, L4_SYS_WAIT); }

static struct sys receive(u64 endpoint, u64 unused) { return SYS(L4_SYS_NB_RECV, endpoint, 0); }

/* Nowhere to keep a caller: the receiver gets nothing, and all callers fail. */
TEST(latency_of_calls_that_cannot_be_kept)
{
	u64 endpoint = obj_new(L4_TYPE_ENDPOINT, 0), threads = queue_all(endpoint, L4_SYS_CALL);

	meter_start();
	check_call("callers", receive, endpoint, 0, L4_ERR_AGAIN);
	end_all(threads);
	meter_stop();
}

static u64 called, senders, server_reply;

static void answers(struct helper *self)
{
	struct sys r = recv(called, server_reply);

	sys(L4_SYS_REPLY_RECV, senders, TAG(0, 1, 0), (u64[6]){ r.m[0] + 1 }, server_reply);
}

static struct sys call(u64 endpoint, u64 word)
{
	struct sys r = SYS(L4_SYS_CALL, endpoint, TAG(0, 1, 0), word);

	EQ(r.m[0], word + 1);
	return r;
}

/* A passive server answers, and receives where many wait to send, for which it has no time. */
TEST(latency_of_senders_to_a_passive_server)
{
	struct helper *server = helper_make(answers, 0, 120);
	u64 threads;

	called = obj_new(L4_TYPE_ENDPOINT, 0);
	senders = obj_new(L4_TYPE_ENDPOINT, 0);
	server_reply = obj_new(L4_TYPE_REPLY, 0);
	helper_start(server);
	helper_settle();
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 120, 120));
	threads = queue_all(senders, L4_SYS_SEND);
	meter_start();
	check_call("passive", call, called, 7, L4_ERR_OK);
	/* It waits there now, and calls get through. */
	EQ(SYS(L4_SYS_NB_SEND, senders, TAG(0, 0, 0)).error, L4_ERR_UNBOUND);
	end_all(threads);
	meter_stop();
}
