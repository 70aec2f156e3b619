/* SPDX-License-Identifier: GPL-2.0-only */
/* Several CPUs: what happens only if one is held up at a certain point (kernel/lib/hold/points.h). See test_cpus.c. */
#include "cpus.h"
#include "meter.h"

/* A helper that makes calls on CPU 1, once it does. It leaves the CPU some time. */
static struct helper *calls_on_another_cpu(void)
{
	struct helper *h;

	need_cpus(2);
	need_holds();
	make_objects();
	h = made_on(1, helper_make, makes_calls, 0);
	MUST(CONFIGURE(h->sched, 9000, 10000, 1));
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	return h;
}

/*
 * The one that has the lock is held up until the next one sleeps there, and that at each place from which it can oversleep
 * its turn: it gets it all the same.
 */
TEST(cpus_sleep_at_the_lock)
{
	static const u64 places[] = { HOLD_LOCK_COUNTED, HOLD_LOCK_TICKET, HOLD_LOCK_SLEEPS,
	                              HOLD_LOCK_ASLEEP,  HOLD_LOCK_PASSES, HOLD_LOCK_DROPPED };
	struct helper *h;
	u64 slept;

	h = calls_on_another_cpu();
	for (u64 i = 0; i < sizeof(places) / sizeof(*places); i++)
		for (u64 cpu = 0; cpu < 2; cpu++) {
			slept = passes(HOLD_LOCK_ASLEEP);
			/* Whichever of the two waits for the other there, back at the lock, waits longer than it spins. */
			hold(HOLD_LOCK_TAKEN, 1 - cpu, 100);
			hold(places[i], cpu, 140);
			for (u64 k = 0; k < 500 && passes(HOLD_LOCK_ASLEEP) - slept < 5; k++) {
				/* Where CPUs run in turn, this one keeps its turn unless it waits. */
				if (k % 16 == 15)
					pass(1);
				ERR(INV(endpoint, 0), OP);
			}
			hold_no_more();
			CHECK(passes(HOLD_LOCK_ASLEEP) > slept);
		}
	EQ(shared[2], 0);
	ERR(slot_delete(h->thread), OK);
}

/*
 * The one that has the lock waits for one that is held up before it is out. It sleeps, and is woken wherever it was held
 * up itself on its way to sleep.
 */
TEST(cpus_sleep_until_another_is_out)
{
	static const u64 places[] = { HOLD_STOP_SLEEPS, HOLD_STOP_ASLEEP };
	u64 slept, empty = slot_new();
	struct helper *h;

	h = calls_on_another_cpu();
	for (u64 i = 0; i < sizeof(places) / sizeof(*places); i++) {
		slept = passes(places[i]);
		hold(HOLD_LOCK_ASKED, 1, 60);
		hold(places[i], 0, 70);
		for (u64 k = 0; k < 60 && passes(places[i]) - slept < 3; k++) {
			/* It waits at the lock, where it is out, unless this CPU gives it time. */
			pass(1);
			ERR(slot_delete(empty), CAP);
		}
		hold_no_more();
		CHECK(passes(places[i]) > slept);
	}
	EQ(shared[2], 0);
	ERR(slot_delete(h->thread), OK);
}

static void counts_calls(struct helper *self)
{
	SYS(L4_SYS_SIGNAL, event, 0);
	for (;;)
		if (!SYS(L4_SYS_CALL, endpoint, TAG(0, 1, 0), 0).error)
			shared[1]++;
}

static void counts_answers(struct helper *self)
{
	struct sys r = recv(endpoint, reply);

	while (!r.error) {
		shared[2]++;
		r = sys(L4_SYS_REPLY_RECV, endpoint, TAG(0, 1, 0), (u64[6]){ 0 }, reply);
	}
}

/*
 * A thread is stopped while its CPU waits for the lock to make its call: the call is made once, later. The CPU that stops
 * it sleeps until the other one, which is held up, has given it up.
 */
TEST(cpus_suspend_one_at_the_lock)
{
	struct helper *h, *server;
	u64 left, slept, stopped = 0;

	need_cpus(2);
	need_holds();
	make_objects();
	server = made_on(1, helper_make, counts_answers, 0);
	h = made_on(1, helper_make, counts_calls, 0);
	MUST(CONFIGURE(h->sched, 9000, 10000, 1));
	helper_start(server);
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	left = passes(HOLD_LEAVES);
	slept = passes(HOLD_STOP_ASLEEP);
	hold(HOLD_LOCK_TAKEN, 0, 40);
	hold(HOLD_LEAVES, 1, 60);
	/* The other CPU may be at the lock for the server each time: calls between change where it is. */
	for (u64 i = 0; i < 60 || (i < 600 && (passes(HOLD_LEAVES) == left || passes(HOLD_STOP_ASLEEP) == slept));
	     i++) {
		ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
		ERR(INV(h->thread, L4_THREAD_RESUME), OK);
		stopped++;
		for (u64 k = i % 16; k; k--)
			ERR(INV(endpoint, 0), OP);
	}
	hold_no_more();
	CHECK(passes(HOLD_LEAVES) > left);
	CHECK(passes(HOLD_STOP_ASLEEP) > slept);
	ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
	pass(1);
	/* Each time it was stopped, it may have waited for an answer that it does not get. */
	CHECK(shared[2] >= shared[1] && shared[2] <= shared[1] + stopped + 1);
	ERR(slot_delete(h->thread), OK);
	ERR(slot_delete(server->thread), OK);
}

static void does_nothing(struct helper *self) {}

/* A thread that had a vCPU in a VSpace, left and came back: its CPU forgets what it knew of it. */
TEST(cpus_forget_after_a_vcpu_is_bound)
{
	u64 before;

	need_cpus(2);
	need_holds();
	helper_cpu = 1;
	guest_make(does_nothing);
	helper_cpu = 0;
	guest_run();
	for (u64 i = 0; i < 3; i++) {
		before = passes(HOLD_FORGETS);
		ERR(slot_revoke(guest.vcpu), OK);
		ERR(INV(guest.helper->thread, L4_THREAD_BIND_VCPU, guest.vcpu, L4_GUEST_VCPU_VADDR), OK);
		arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], helper_entry, (u64)guest.helper,
		                helper_stack(guest.helper));
		MUST(INV(guest.helper->thread, L4_THREAD_WRITE_REGS));
		guest.helper->done = 0;
		guest_run();
		CHECK(passes(HOLD_FORGETS) > before);
	}
}

/* How long a CPU had the lock while another one waited, in all tests before. Where CPUs are held up, that tells nothing. */
TEST(cpus_time_of_the_lock)
{
	struct sys r = SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_LOCK_TIME, 0);
	u64 us = r.m[0] * 1000000 / boot_info->counter_hz;

	if (boot_info->cpus == 1 || r.error)
		return;
	print("# bench lock-longest %lu us, for 0x%lx\n", us, r.m[1]);
	if (SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_FIRST).error)
		CHECK(us < METER_LIMIT_US);
}
