/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Benchmarks of L4. Under QEMU's -icount shift=0,sleep=off the counter counts instructions, so every figure
 * is exact and repeatable. A figure is the median of SAMPLES samples. It includes the stubs in user mode; the cost of
 * reading the counter is subtracted.
 */
#include "guest.h"

#define SAMPLES 101

static u64 samples[SAMPLES], overhead;
static u64 ep, ep2, reply, notification;

static u64 median(void)
{
	for (u64 i = 1; i < SAMPLES; i++)
		for (u64 k = i; k && samples[k] < samples[k - 1]; k--) {
			u64 t = samples[k];

			samples[k] = samples[k - 1];
			samples[k - 1] = t;
		}
	return samples[SAMPLES / 2];
}

static void report(const char *name)
{
	u64 m = median();

	print("# bench %s %lu\n", name, m > overhead ? m - overhead : 0);
}

#define MEASURE(name, code)                                   \
	do {                                                  \
		for (u64 i_ = 0; i_ < SAMPLES; i_++) {        \
			u64 start_ = arch_cycles();           \
			code;                                 \
			samples[i_] = arch_cycles() - start_; \
		}                                             \
		report(name);                                 \
	} while (0)

/* Measures what the two reads of the counter cost that each sample has. */
TEST(bench_overhead)
{
	overhead = 0;
	MEASURE("counter", (void)0);
	overhead = median();
}

TEST(bench_null_calls)
{
	notification = obj_new(L4_TYPE_NOTIFICATION, 0);
	MEASURE("null-syscall", l4_syscall(L4_SYS_VCPU_PREEMPTED + 1, 0, 0, &(struct l4_msg){ 0 }));
	MEASURE("null-invoke", l4_invoke(notification, 0, 0, 0, 0, 0, 0, 0, NULL));
	MEASURE("yield-alone", l4_yield());
	MEASURE("signal-nobody", l4_signal(notification));
}

static void fixture(void)
{
	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	ep2 = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
	notification = obj_new(L4_TYPE_NOTIFICATION, 0);
}

static void echo(struct helper *self)
{
	struct l4_msg msg = { .tag = shared[10] };

	l4_recv(ep, reply, &msg);
	for (;;) {
		msg.tag = shared[10];
		l4_reply_recv(ep, reply, &msg);
	}
}

static void caller(struct helper *self)
{
	struct l4_msg msg = { .tag = shared[10] };

	for (int warm = 0; warm < 10; warm++) {
		msg.tag = shared[10];
		l4_call(ep, &msg);
	}
	MEASURE((const char *)shared[11], (msg.tag = l4_tag(0, self->arg[0], 0), l4_call(ep, &msg)));
}

/* Caller and server in two address spaces, of equal priority and with their own SchedContexts. */
static void call_reply(const char *name, u64 words)
{
	struct helper *server, *client;

	fixture();
	shared[10] = l4_tag(0, words, 0);
	shared[11] = (u64)name;
	server = helper_fork(echo, 0, 110);
	client = helper_fork(caller, words, 100);
	helper_start(server);
	helper_start(client);
	helper_join(client);
}

TEST(bench_call_reply_0) { call_reply("call-reply-0", 0); }

TEST(bench_call_reply_10) { call_reply("call-reply-10", 10); }

static void sink(struct helper *self)
{
	struct l4_msg msg = { 0 };

	for (;;)
		l4_recv(ep, 0, &msg);
}

static void sender(struct helper *self)
{
	struct l4_msg msg = { 0 };

	MEASURE("send-to-higher", l4_send(ep, &msg));
}

/* SEND to a receiver of higher priority: until it waits for the next message and the sender runs again. */
TEST(bench_send)
{
	struct helper *a, *b;

	fixture();
	a = helper_fork(sink, 0, 110);
	b = helper_fork(sender, 0, 100);
	helper_start(a);
	helper_start(b);
	helper_join(b);
}

static void one_way_receiver(struct helper *self)
{
	struct l4_msg msg = { 0 };

	for (u64 i = 0; i < SAMPLES; i++) {
		l4_recv(ep, 0, &msg);
		samples[i] = arch_cycles() - shared[12];
	}
	report("send-one-way");
}

static void one_way_sender(struct helper *self)
{
	struct l4_msg msg = { 0 };

	for (u64 i = 0; i < SAMPLES; i++) {
		shared[12] = arch_cycles();
		l4_send(ep, &msg);
	}
}

/* One way: from before SEND in one address space to after RECV in the other. */
TEST(bench_send_one_way)
{
	struct helper *a, *b;

	fixture();
	a = helper_fork(one_way_receiver, 0, 110);
	b = helper_fork(one_way_sender, 0, 100);
	helper_start(a);
	helper_start(b);
	helper_join(a);
}

static void waiter(struct helper *self)
{
	u64 bits;

	for (u64 i = 0; i < SAMPLES; i++) {
		l4_wait(notification, &bits);
		samples[i] = arch_cycles() - shared[12];
	}
	report((const char *)shared[11]);
}

static void signaller(struct helper *self)
{
	for (u64 i = 0; i < SAMPLES; i++) {
		shared[12] = arch_cycles();
		l4_signal(notification);
	}
}

TEST(bench_signal_to_higher_priority)
{
	struct helper *a, *b;

	fixture();
	shared[11] = (u64) "signal-to-higher";
	a = helper_fork(waiter, 0, 110);
	b = helper_fork(signaller, 0, 100);
	helper_start(a);
	helper_start(b);
	helper_join(a);
}

static void waits_lower(struct helper *self)
{
	u64 bits;

	for (;;)
		l4_wait(notification, &bits);
}

static void signals_lower(struct helper *self)
{
	u64 bits;

	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start = arch_cycles();

		l4_signal(notification);
		samples[i] = arch_cycles() - start;
		l4_wait(ep2, &bits); /* lets the other wait again */
	}
	report("signal-to-lower");
}

static void wakes(struct helper *self)
{
	for (;;)
		l4_signal(ep2);
}

/* SIGNAL alone: the thread that waits has a lower priority and does not run. */
TEST(bench_signal_to_lower_priority)
{
	struct helper *a, *b, *c;

	fixture();
	ep2 = obj_new(L4_TYPE_NOTIFICATION, 0);
	a = helper_fork(waits_lower, 0, 90);
	b = helper_fork(signals_lower, 0, 100);
	c = helper_fork(wakes, 0, 80);
	helper_start(a);
	helper_start(b);
	helper_start(c);
	helper_join(b);
}

static void yields(struct helper *self)
{
	for (u64 i = 0; i < 2 * SAMPLES; i++)
		l4_yield();
}

static void yields_measured(struct helper *self)
{
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start = arch_cycles();

		l4_yield();
		samples[i] = (arch_cycles() - start) / 2;
	}
	report("yield-switch");
}

/* A round trip is two switches between address spaces. */
TEST(bench_yield)
{
	struct helper *a, *b;

	fixture();
	a = helper_fork(yields, 0, 100);
	b = helper_fork(yields_measured, 0, 100);
	helper_start(a);
	helper_start(b);
	helper_join(b);
}

static void faults(struct helper *self)
{
	u64 value;

	arch_try_load(NO_VADDR, &value);
}

/*
 * The handler answers a fault without mapping anything, so that the thread faults again at once. The handler has a
 * higher priority, is in another address space, and measures from one fault to the next.
 */
static void fault_handler(struct helper *self)
{
	struct l4_msg msg = { 0 };

	l4_recv(ep, reply, &msg);
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start = arch_cycles();

		msg.tag = 0;
		l4_reply_recv(ep, reply, &msg);
		samples[i] = arch_cycles() - start;
	}
	report("fault-handler-back");
}

TEST(bench_fault)
{
	struct helper *a, *b;

	fixture();
	a = helper_fork(fault_handler, 0, 110);
	b = helper_fork(faults, 0, 100);
	MUST(INV(b->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, b->vspace, (u64)b->utcb, ep));
	helper_start(a);
	helper_start(b);
	helper_join(a);
}

TEST(bench_map)
{
	u64 frame = slots_new(SAMPLES);

	MUST(retype(test_untyped, L4_TYPE_FRAME, L4_PAGE_BITS, frame, SAMPLES));
	frame_map(frame, TEST_VADDR, L4_RIGHT_READ);
	INV(frame, L4_FRAME_UNMAP);
	MEASURE("map-4k",
	        l4_vspace_map(L4_ROOT_SLOT_VSPACE, frame + i_, TEST_VADDR + i_ * L4_PAGE_SIZE, L4_RIGHT_READ, 0));
	MEASURE("unmap-4k", l4_frame_unmap(frame + i_));
	MEASURE("retype-endpoint",
	        l4_untyped_retype(test_untyped, L4_TYPE_ENDPOINT, 0, L4_ROOT_SLOT_CNODE, slots_new(1), 1));
}

/* guests */

static void prepare_syscall(void) { user_call(PROGRAM(load), CODE_VADDR, 0); }

GUEST_TEST_LOW(bench_vcpu_syscall)
{
	for (int warm = 0; warm < 3; warm++) {
		prepare_syscall();
		enter(guest.space[0]);
	}
	vcpu->irq_enabled = 0;
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start;

		prepare_syscall();
		start = arch_cycles();
		arch_vcpu_enter((struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR, guest.space[0]);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-enter-syscall-exit");
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start;

		prepare_syscall();
		start = arch_cycles();
		arch_vcpu_enter((struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR, guest.space[i % 2]);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-enter-other-exit");
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start;

		user_call(PROGRAM(trap), 0, 0);
		start = arch_cycles();
		arch_vcpu_enter((struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR, guest.space[0]);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-enter-exception-exit");
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start;

		user_call(PROGRAM(load), NO_VADDR, 0);
		start = arch_cycles();
		arch_vcpu_enter((struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR, guest.space[0]);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-enter-fault-exit");
	l4_signal(guest.kick);
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start = arch_cycles();

		arch_vcpu_enter((struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR, guest.space[0]);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-enter-pending-event");
}

GUEST_TEST_LOW(bench_vcpu_fill)
{
	u64 page = page_new();

	for (u64 i = 0; i < SAMPLES; i++)
		table_map(user_root, DATA_VADDR + i * L4_PAGE_SIZE, page, LEAF_RW);
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start;

		user_call(PROGRAM(store), DATA_VADDR + i * L4_PAGE_SIZE, 1);
		start = arch_cycles();
		arch_vcpu_enter((struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR, guest.space[0]);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-enter-fill-write-exit");
	for (u64 i = 0; i < SAMPLES; i++) {
		u64 start;

		flush(guest.space[0], L4_FLUSH_RANGE, DATA_VADDR + i * L4_PAGE_SIZE,
		      DATA_VADDR + (i + 1) * L4_PAGE_SIZE);
		start = arch_cycles();
		l4_vcpu_flush(0, 0);
		samples[i] = arch_cycles() - start;
	}
	report("vcpu-flush-one");
}

GUEST_TEST_LOW(bench_vcpu_upcall)
{
	vcpu->irq_enabled = 1;
	MEASURE("vcpu-fault-upcall-resume", arch_try_load(NO_VADDR, samples));
}
