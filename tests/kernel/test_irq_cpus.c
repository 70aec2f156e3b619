/* SPDX-License-Identifier: GPL-2.0-only */
/* The CPU that an interrupt goes to. */
#include "line.h"

#define ROUNDS 300

static u64 irq, event;

static void make_handler(void)
{
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, ARCH_LINE, ARCH_LINE_LEVEL, L4_ROOT_SLOT_CNODE, irq));
	MUST(INV(irq, L4_IRQ_HANDLER_BIND, event));
}

static void open_line(void)
{
	line_open();
	irq = slot_new();
	event = obj_new(L4_TYPE_NOTIFICATION, 0);
	make_handler();
	MUST(INV(irq, L4_IRQ_HANDLER_ACK));
}

static void close_line(void)
{
	ERR(slot_delete(irq), OK);
	line_close();
}

static u64 taken(void) { return INV(irq, L4_IRQ_HANDLER_INFO).m[1]; }
static u64 taken_cpu(void) { return INV(irq, L4_IRQ_HANDLER_INFO).m[2]; }
static struct sys route(u64 cpu) { return INV(irq, L4_IRQ_HANDLER_ROUTE, cpu); }

/* It comes once, to this CPU. */
static void comes_to(u64 cpu)
{
	u64 before = taken();

	line(1);
	ERR(SYS(L4_SYS_WAIT, event, 0), OK);
	line(0);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	EQ(taken(), before + 1);
	EQ(taken_cpu(), cpu);
	ERR(SYS(L4_SYS_POLL, event, 0), AGAIN);
}

TEST(irq_route_errors)
{
	u64 free = slot_new();
	struct sys r;

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, L4_ROOT_SLOT_CNODE, free));
	ERR(INV(free, L4_IRQ_HANDLER_ROUTE, boot_info->cpus), RANGE);
	ERR(INV(free, L4_IRQ_HANDLER_ROUTE, ~0UL), RANGE);
	ERR(INV(free, L4_IRQ_HANDLER_ROUTE, 1UL << 32), RANGE);
	ERR(INV(cap_copy(free, L4_RIGHT_READ), L4_IRQ_HANDLER_ROUTE, 0), RIGHTS);
	ERR(INV(cap_copy(free, L4_RIGHT_WRITE), L4_IRQ_HANDLER_INFO), RIGHTS);
	ERR(INV(cap_copy(free, L4_RIGHT_READ), L4_IRQ_HANDLER_INFO), OK);
	/* bound or not */
	for (u64 cpu = boot_info->cpus; cpu--;) {
		r = INV(free, L4_IRQ_HANDLER_ROUTE, cpu);
		EQ(r.error, L4_ERR_OK);
		EQ(r.m[0], 0);
		EQ(r.m[1], 0);
		r = INV(free, L4_IRQ_HANDLER_INFO);
		EQ(r.m[0], cpu);
		EQ(r.m[1], 0);
	}
	ERR(INV(free, L4_IRQ_HANDLER_ROUTE, boot_info->cpus), RANGE);
	EQ(INV(free, L4_IRQ_HANDLER_INFO).m[0], 0);
	ERR(slot_delete(free), OK);
}

TEST(irq_comes_to_its_cpu)
{
	open_line();
	comes_to(0);
	for (u64 cpu = boot_info->cpus; cpu--;) {
		ERR(route(cpu), OK);
		comes_to(cpu);
		comes_to(cpu);
	}
	close_line();
}

/* The next object of a line begins at CPU 0, wherever the last one ended, in the middle of what. */
TEST(irq_of_a_new_object_comes_to_cpu_0)
{
	open_line();
	for (u64 i = 0; i < 2; i++) {
		ERR(route(boot_info->cpus - 1), OK);
		comes_to(boot_info->cpus - 1);
		line(1);
		if (i)
			ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		ERR(slot_delete(irq), OK);
		line(0);
		SYS(L4_SYS_POLL, event, 0);
		make_handler();
		EQ(INV(irq, L4_IRQ_HANDLER_INFO).m[0], 0);
		EQ(taken(), 0);
		/* one that another CPU had taken may come late, as of any device */
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		SYS(L4_SYS_POLL, event, 0);
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		comes_to(0);
	}
	close_line();
}

/* Moved between delivery and ACK. */
TEST(irq_moves_before_its_acknowledgement)
{
	u64 last = boot_info->cpus - 1, before;

	open_line();
	for (u64 i = 0; i <= last; i++) {
		u64 to = (i + 1) % boot_info->cpus;

		ERR(route(i), OK);
		line(1);
		ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		EQ(taken_cpu(), i);
		before = taken();
		ERR(route(to), OK);
		ERR(SYS(L4_SYS_POLL, event, 0), AGAIN);
		/* One more edge, which is kept. Of a level QEMU's PLIC sees that it rises, not that it is up still. */
		line(0);
		line(1);
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		/* it comes where it goes now */
		ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		EQ(taken(), before + 1);
		EQ(taken_cpu(), to);
		line(0);
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		ERR(SYS(L4_SYS_POLL, event, 0), AGAIN);
	}
	close_line();
}

static struct helper *made_on(u64 cpu, void (*run)(struct helper *))
{
	struct helper *h;

	helper_cpu = cpu;
	h = helper_make(run, 0, L4_ROOT_PRIORITY - 50);
	helper_cpu = 0;
	return h;
}

/* One that runs on has a fifth of its CPU's time: an emulator that runs CPUs in turn gives the others theirs. */
static struct helper *busy_on(u64 cpu, void (*run)(struct helper *))
{
	struct helper *h = made_on(cpu, run);

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, h->sched, 2000, 10000, cpu));
	return h;
}

static void drives(struct helper *self)
{
	for (u64 i = 0; i < ROUNDS; i++) {
		line(1);
		ERR(SYS(L4_SYS_WAIT, event, 0), OK);
		line(0);
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	}
	__atomic_store_n(&shared[1], 1, __ATOMIC_SEQ_CST);
}

static void moves(struct helper *self)
{
	while (!__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST))
		ERR(route(shared[2]++ % boot_info->cpus), OK);
}

/* Its driver runs on one CPU, another moves it, all take it: each comes, once. */
TEST(irq_moves_under_fire)
{
	struct helper *driver, *mover;
	u64 before;

	need_cpus(3);
	open_line();
	before = taken();
	driver = made_on(1, drives);
	mover = busy_on(2, moves);
	helper_start(mover);
	helper_start(driver);
	helper_join(driver);
	helper_join(mover);
	EQ(taken(), before + ROUNDS);
	CHECK(shared[2] > 0);
	ERR(SYS(L4_SYS_POLL, event, 0), AGAIN);
	close_line();
}

static void raises(struct helper *self)
{
	while (!__atomic_load_n(&shared[1], __ATOMIC_SEQ_CST)) {
		line(1);
		line(0);
		shared[2]++;
	}
}

/* Deleted, and made again, while it is on its way on any CPU. */
TEST(irq_is_deleted_under_fire)
{
	struct helper *device_of_it;
	u64 some = 0;

	need_cpus(3);
	open_line();
	device_of_it = busy_on(1, raises);
	helper_start(device_of_it);
	for (u64 i = 0; i < ROUNDS; i++) {
		ERR(route(i % boot_info->cpus), OK);
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
		some += !SYS(L4_SYS_POLL, event, 0).error;
		if (i % 3)
			ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), OK);
		ERR(slot_delete(irq), OK);
		make_handler();
	}
	__atomic_store_n(&shared[1], 1, __ATOMIC_SEQ_CST);
	helper_join(device_of_it);
	print("# %lu raised, %lu came\n", shared[2], some);
	ERR(slot_delete(irq), OK);
	SYS(L4_SYS_POLL, event, 0);
	make_handler();
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	/* What was raised for an earlier object may be pending at the controller, and comes to this one. */
	while (!SYS(L4_SYS_POLL, event, 0).error)
		ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	comes_to(0);
	ERR(route(boot_info->cpus - 1), OK);
	comes_to(boot_info->cpus - 1);
	close_line();
}
