/* SPDX-License-Identifier: GPL-2.0-only */
/* Control: SCHED_CONFIGURE, LOG_BIND, and the rights of POWER_OFF and RESTART (POWER_OFF ends the run). */
#include "harness.h"

#define CONTROL                   L4_ROOT_SLOT_CONTROL
#define SCHED(sc, budget, period) INV(CONTROL, L4_CONTROL_SCHED_CONFIGURE, sc, budget, period)

TEST(control_sched_configure)
{
	u64 sc = obj_new(L4_TYPE_SCHED_CONTEXT, 0), weak = cap_copy(CONTROL, L4_RIGHT_READ);

	ERR(SCHED(4000, 1000, 1000), CAP);
	ERR(SCHED(CONTROL, 1000, 1000), TYPE);
	ERR(SCHED(sc, L4_BUDGET_MIN_US - 1, 1000), RANGE);
	ERR(SCHED(sc, 0, 0), RANGE);
	ERR(SCHED(sc, 1001, 1000), RANGE);
	ERR(SCHED(sc, 1000, L4_BUDGET_MAX_US + 1), RANGE);
	ERR(SCHED(sc, ~0UL, ~0UL), RANGE);
	ERR(INV(CONTROL, L4_CONTROL_SCHED_CONFIGURE, sc, 1000, 1000, boot_info->cpus), RANGE);
	ERR(INV(CONTROL, L4_CONTROL_SCHED_CONFIGURE, sc, 1000, 1000, ~0UL), RANGE);
	ERR(INV(CONTROL, L4_CONTROL_SCHED_CONFIGURE, sc, 1000, 1000, boot_info->cpus - 1), OK);
	ERR(INV(weak, L4_CONTROL_SCHED_CONFIGURE, sc, 1000, 1000), RIGHTS);
	ERR(SCHED(sc, L4_BUDGET_MIN_US, L4_BUDGET_MIN_US), OK);
	ERR(SCHED(sc, L4_BUDGET_MIN_US, L4_BUDGET_MAX_US), OK);
	ERR(SCHED(sc, L4_BUDGET_MAX_US, L4_BUDGET_MAX_US), OK);
	ERR(SCHED(L4_ROOT_SLOT_SCHED, 10000, 10000), OK); /* our own, while we run on it */
}

TEST(control_power_needs_the_right)
{
	u64 weak = cap_copy(CONTROL, L4_RIGHT_READ);

	ERR(INV(weak, L4_CONTROL_POWER_OFF, 1), RIGHTS);
	ERR(INV(weak, L4_CONTROL_RESTART), RIGHTS);
	ERR(INV(weak, L4_CONTROL_LOG_BIND, 0), RIGHTS);
	ERR(INV(CONTROL, 6), OP);
	ERR(INV(CONTROL, ~0UL), OP);
}

TEST(control_log_bind)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), badged = cap_mint(n, L4_RIGHT_WRITE, 64);

	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, 4000), CAP);
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, CONTROL), TYPE);
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, cap_copy(n, L4_RIGHT_READ)), RIGHTS);
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, badged), OK);
	l4_debug_write("# for the log only\n", 19);
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 64);
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, 0), OK);
	l4_debug_write("# for both\n", 11);
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	/* the Notification is deleted: the kernel writes to the console again, and signals nothing */
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, badged), OK);
	ERR(slot_delete(n), OK);
	l4_debug_write("# after it\n", 11);
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, 0), OK);
}

static void traps(struct helper *self) { arch_try_trap(); }

static void waits(struct helper *self) { shared[1] = SYS(L4_SYS_WAIT, self->arg[0], 0).badge; }

static void looks(struct helper *self) { shared[2] = shared[1]; }

/* A message of the kernel itself signals the reader, whose thread runs before others of lower priority. */
TEST(control_log_message_of_the_kernel)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0);
	struct helper *reader = helper_make(waits, n, 110), *h = helper_make(traps, 0, 100);
	struct helper *next = helper_make(looks, 0, 90);

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, 0));
	helper_start(reader);
	helper_settle();
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, cap_mint(n, L4_RIGHT_WRITE, 64)), OK);
	helper_start(h);
	helper_start(next);
	helper_settle();
	ERR(INV(CONTROL, L4_CONTROL_LOG_BIND, 0), OK);
	EQ(shared[2], 64);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
}
