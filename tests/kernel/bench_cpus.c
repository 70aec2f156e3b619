/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What CPUs do with each other, in instructions of all of them, which the emulator runs in turn: the counter goes on for
 * all. One that waits for another one is idle or at the lock, and costs the few instructions of a turn there.
 */
#include "guest.h"
#include "line.h"

#define ROUNDS 100
#define TIMES  20
#define PAGES  16

static u64 endpoint, reply, there, back;

static void say(const char *name, u64 cpus, u64 since, u64 rounds)
{
	print("# bench %s-%lu-cpus %lu\n", name, cpus, (arch_cycles() - since) / rounds);
}

static struct helper *on(u64 cpu, struct helper *(*make)(void (*)(struct helper *), u64, u64),
                         void (*run)(struct helper *), u64 arg)
{
	struct helper *h;

	helper_cpu = cpu;
	h = make(run, arg, 100);
	helper_cpu = 0;
	return h;
}

static void objects(void)
{
	endpoint = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
	there = obj_new(L4_TYPE_NOTIFICATION, 0);
	back = obj_new(L4_TYPE_NOTIFICATION, 0);
}

static void echoes(struct helper *self)
{
	struct l4_msg msg = { 0 };

	l4_recv(endpoint, reply, &msg);
	for (;;) {
		msg.tag = 0;
		l4_reply_recv(endpoint, reply, &msg);
	}
}

/* The caller's CPU idles while the server's works. */
TEST(bench_cpus_call_reply)
{
	struct helper *server;
	struct l4_msg msg = { 0 };
	u64 start;

	need_cpus(2);
	objects();
	server = on(1, helper_fork, echoes, 0);
	helper_start(server);
	l4_call(endpoint, &msg);
	start = arch_cycles();
	for (u64 i = 0; i < ROUNDS; i++) {
		msg.tag = 0;
		l4_call(endpoint, &msg);
	}
	say("call-reply", 2, start, ROUNDS);
	ERR(slot_delete(server->thread), OK);
}

static void wakes_back(struct helper *self)
{
	u64 bits;

	for (;;) {
		l4_wait(there, &bits);
		l4_signal(back);
	}
}

/* Two signals, each of which wakes a thread of an idle CPU. */
TEST(bench_cpus_signal)
{
	struct helper *h;
	u64 start, bits;

	need_cpus(2);
	objects();
	h = on(1, helper_fork, wakes_back, 0);
	helper_start(h);
	l4_signal(there);
	l4_wait(back, &bits);
	start = arch_cycles();
	for (u64 i = 0; i < ROUNDS; i++) {
		l4_signal(there);
		l4_wait(back, &bits);
	}
	say("signal-to-wake", 2, start, 2 * ROUNDS);
	ERR(slot_delete(h->thread), OK);
}

/* Gives its turn away, where the CPU has an instruction for that. */
static void stays_in_user_mode(struct helper *self)
{
	l4_signal(back);
	for (;;)
		arch_relax();
}

/* Pages of a VSpace that a thread of each other CPU is in are unmapped. */
static void shoot_down(u64 cpus)
{
	static const u64 counts[] = { 1, 4, PAGES };
	u64 frame = slots_new(PAGES), bits, start, in_all;
	struct helper *h[4];

	need_cpus(cpus);
	if (!ARCH_RELAX_YIELDS)
		return; /* the emulator would count their loops */
	objects();
	MUST(retype(test_untyped, L4_TYPE_FRAME, L4_PAGE_BITS, frame, PAGES));
	for (u64 i = 1; i < cpus; i++) {
		helper_start(h[i] = on(i, helper_make, stays_in_user_mode, 0));
		l4_wait(back, &bits);
	}
	for (u64 k = 0; k < sizeof(counts) / sizeof(*counts); k++) {
		in_all = 0;
		for (u64 t = 0; t < TIMES; t++) {
			for (u64 i = 0; i < counts[k]; i++)
				EQ(frame_map(frame + i, TEST_VADDR + i * L4_PAGE_SIZE, L4_RIGHT_READ), L4_ERR_OK);
			start = arch_cycles();
			for (u64 i = 0; i < counts[k]; i++)
				l4_frame_unmap(frame + i);
			in_all += arch_cycles() - start;
		}
		print("# bench unmap-%lu-pages-%lu-cpus %lu\n", counts[k], cpus, in_all / TIMES);
	}
	for (u64 i = 1; i < cpus; i++)
		ERR(slot_delete(h[i]->thread), OK);
}

TEST(bench_cpus_shoot_down_2) { shoot_down(2); }
TEST(bench_cpus_shoot_down_4) { shoot_down(4); }

static u64 irq;

static void drives(struct helper *self)
{
	u64 bits;

	for (;;) {
		l4_wait(there, &bits);
		shared[1] = l4_counter(); /* arch_cycles() is a CPU's own on aarch64 */
		line(0);
		INV(irq, L4_IRQ_HANDLER_ACK);
		__atomic_store_n(&shared[2], shared[2] + 1, __ATOMIC_SEQ_CST);
	}
}

/*
 * From the call that makes a device raise its interrupt to the first instruction of the driver, on a CPU whose thread of
 * lower priority is in user mode, as those of all other CPUs are. They give their turns away, so few of their
 * instructions are counted.
 */
static void interrupt_to_driver(u64 cpus)
{
	struct helper *h[5];
	u64 bits, start, before, first, in_all = 0;

	need_cpus(cpus);
	if (!ARCH_RELAX_YIELDS)
		return;
	objects();
	irq = slot_new();
	line_open();
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, ARCH_LINE, ARCH_LINE_LEVEL, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, there));
	MUST(INV(irq, L4_IRQ_HANDLER_ACK));
	ERR(INV(irq, L4_IRQ_HANDLER_ROUTE, 1), OK);
	helper_cpu = 1;
	helper_start(h[0] = helper_make(drives, 0, 200));
	helper_cpu = 0;
	for (u64 i = 1; i < cpus; i++) {
		helper_start(h[i] = on(i, helper_make, stays_in_user_mode, 0));
		l4_wait(back, &bits);
	}
	first = shared[2]; /* not 0 where the log's output has left one */
	for (u64 t = 0; t < TIMES; t++) {
		before = shared[2];
		start = l4_counter();
		line(1);
		while (__atomic_load_n(&shared[2], __ATOMIC_SEQ_CST) == before)
			arch_relax();
		in_all += shared[1] - start;
	}
	EQ(shared[2], first + TIMES);
	for (u64 i = 0; i < cpus; i++)
		ERR(slot_delete(h[i]->thread), OK);
	ERR(slot_delete(irq), OK);
	line_close();
	/* a nanosecond of the counter is an instruction */
	print("# bench interrupt-to-driver-%lu-cpus %lu\n", cpus,
	      in_all * (1000000000 / TIMES) / boot_info->counter_hz);
}

TEST(bench_cpus_interrupt_2) { interrupt_to_driver(2); }
TEST(bench_cpus_interrupt_4) { interrupt_to_driver(4); }

/* Guests on CPUs of their own, at once: nothing of this needs the lock. A test has memory for two. */
static void guest_syscalls(struct helper *self)
{
	vcpu->irq_enabled = 0;
	for (u64 i = 0; i < ROUNDS; i++) {
		user_call(PROGRAM(load), CODE_VADDR, 0);
		enter(guest.space[0]);
	}
}

static void guest_faults(struct helper *self)
{
	u64 page = page_new();

	vcpu->irq_enabled = 0;
	for (u64 i = 0; i < ROUNDS; i++)
		table_map(user_root, DATA_VADDR + i * L4_PAGE_SIZE, page, LEAF_RW);
	for (u64 i = 0; i < ROUNDS; i++) {
		user_call(PROGRAM(store), DATA_VADDR + i * L4_PAGE_SIZE, 1);
		enter(guest.space[0]);
	}
}

static void at_once(const char *name, void (*body)(struct helper *), u64 cpus)
{
	struct helper *h[2];
	u64 start;

	need_cpus(cpus);
	for (u64 i = 0; i < cpus; i++) {
		helper_cpu = i;
		guest_make(body);
		h[i] = guest.helper;
	}
	helper_cpu = 0;
	start = arch_cycles();
	for (u64 i = 0; i < cpus; i++)
		helper_start(h[i]);
	for (u64 i = 0; i < cpus; i++)
		helper_join(h[i]);
	say(name, cpus, start, cpus * ROUNDS);
}

TEST(bench_cpus_guest_syscalls_1) { at_once("guest-syscalls", guest_syscalls, 1); }
TEST(bench_cpus_guest_syscalls_2) { at_once("guest-syscalls", guest_syscalls, 2); }
TEST(bench_cpus_guest_faults_1) { at_once("guest-faults", guest_faults, 1); }
TEST(bench_cpus_guest_faults_2) { at_once("guest-faults", guest_faults, 2); }
