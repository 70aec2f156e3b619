/* SPDX-License-Identifier: GPL-2.0-only */
/* See cpus.h. */
#include "cpus.h"

u64 event, other_event, endpoint, reply;

void hold_no_more(void) { MUST(SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_RANDOM, 0, 0, 0, HOLD_KEY)); }

void run_held_up(void (*body)(void), u64 seed)
{
	need_holds();
	MUST(SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_RANDOM, seed, 0, 0, HOLD_KEY));
	body();
	hold_no_more();
}

u64 passes(u64 point) { return SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_FIRST + point, 0).m[0]; }

void hold(u64 point, u64 cpu, u64 us)
{
	MUST(SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_FIRST + point, boot_info->counter_hz / 1000000 * us, 1UL << cpu,
	         HOLD_ANY_TIMES, HOLD_KEY));
}

struct helper *made_on(u64 cpu, struct helper *(*make)(void (*)(struct helper *), u64, u64),
                       void (*run)(struct helper *), u64 arg)
{
	struct helper *h;

	helper_cpu = cpu;
	h = make(run, arg, BUSY);
	helper_cpu = 0;
	return h;
}

struct helper *busy_on(u64 cpu, struct helper *(*make)(void (*)(struct helper *), u64, u64),
                       void (*run)(struct helper *), u64 arg)
{
	struct helper *h = made_on(cpu, make, run, arg);

	MUST(CONFIGURE(h->sched, 2000, 10000, cpu));
	return h;
}

static void says(struct helper *self) { SYS(L4_SYS_SIGNAL, other_event, 0); }

void pass(u64 cpu)
{
	struct helper *h = made_on(cpu, helper_make, says, 0);

	other_event = obj_new(L4_TYPE_NOTIFICATION, 0);
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, h->sched, L4_ROOT_PRIORITY, L4_ROOT_PRIORITY));
	helper_start(h);
	ERR(SYS(L4_SYS_WAIT, other_event, 0), OK);
	helper_join_quietly(h);
	helper_forget();
}

void make_objects(void)
{
	event = obj_new(L4_TYPE_NOTIFICATION, 0);
	endpoint = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
}

void runs_on(struct helper *self)
{
	SYS(L4_SYS_SIGNAL, event, 0);
	for (;;) {
		shared[1]++;
		arch_relax();
	}
}

void makes_calls(struct helper *self)
{
	SYS(L4_SYS_SIGNAL, event, 0);
	for (;;) {
		shared[1]++;
		/* which has a result, of which nothing may be lost or doubled */
		if (INV(L4_ROOT_SLOT_CNODE, L4_CNODE_REVOKE, 0).error != L4_ERR_RANGE)
			shared[2]++;
	}
}
