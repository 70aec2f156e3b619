/* SPDX-License-Identifier: GPL-2.0-only */
/* Notification: SIGNAL, WAIT, POLL. */
#include "harness.h"

static u64 n;

TEST(notification_bits_are_collected)
{
	n = obj_new(L4_TYPE_NOTIFICATION, 0);
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	for (u64 i = 0; i < 64; i++)
		ERR(SYS(L4_SYS_SIGNAL, cap_mint(n, L4_RIGHT_WRITE, 1UL << i), 0), OK);
	EQ(SYS(L4_SYS_WAIT, n, 0).badge, ~0UL);
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK); /* badge 0 counts as 1 */
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 1);
}

TEST(notification_errors)
{
	u64 ep = obj_new(L4_TYPE_ENDPOINT, 0);

	n = obj_new(L4_TYPE_NOTIFICATION, 0);
	ERR(SYS(L4_SYS_SIGNAL, cap_copy(n, L4_RIGHT_READ), 0), RIGHTS);
	ERR(SYS(L4_SYS_WAIT, cap_copy(n, L4_RIGHT_WRITE), 0), RIGHTS);
	ERR(SYS(L4_SYS_POLL, cap_copy(n, L4_RIGHT_WRITE), 0), RIGHTS);
	ERR(SYS(L4_SYS_SIGNAL, ep, 0), TYPE);
	ERR(SYS(L4_SYS_WAIT, ep, 0), TYPE);
	ERR(SYS(L4_SYS_POLL, ep, 0), TYPE);
	ERR(SYS(L4_SYS_SIGNAL, 4000, 0), CAP);
	ERR(SYS(L4_SYS_WAIT, 0, 0), CAP);
	ERR(SYS(L4_SYS_POLL, ~0UL, 0), CAP);
	ERR(INV(n, 0), OP);
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
}

static void waits(struct helper *self)
{
	struct sys r = SYS(L4_SYS_WAIT, n, 0);

	shared[1 + self->arg[0]] = r.error ? r.error << 8 : r.badge;
	shared[10]++;
}

static void nothing(struct helper *self) {}

static void let_them_wait(void)
{
	struct helper *h = helper_make(nothing, 0, 10);

	helper_start(h);
	helper_join(h);
}

TEST(notification_wakes_one_waiter_each)
{
	struct helper *h[3];

	n = obj_new(L4_TYPE_NOTIFICATION, 0);
	for (u64 i = 0; i < 3; i++)
		helper_start(h[i] = helper_make(waits, i, 100));
	let_them_wait();
	for (u64 i = 0; i < 3; i++) {
		EQ(shared[10], i);
		ERR(SYS(L4_SYS_SIGNAL, cap_mint(n, L4_RIGHT_WRITE, 2 + i), 0), OK);
		helper_join(h[i]); /* in the order in which they came */
		EQ(shared[1 + i], 2 + i);
	}
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
}

TEST(notification_deleted_with_waiters)
{
	struct helper *a = helper_make(waits, 0, 100), *b = helper_make(waits, 1, 100);

	n = obj_new(L4_TYPE_NOTIFICATION, 0);
	helper_start(a);
	helper_start(b);
	let_them_wait();
	ERR(slot_delete(n), OK);
	helper_join(a);
	helper_join(b);
	EQ(shared[1], L4_ERR_CANCELLED << 8);
	EQ(shared[2], L4_ERR_CANCELLED << 8);
}

static void ping(struct helper *self)
{
	for (u64 i = 0; i < 500; i++) {
		ERR(SYS(L4_SYS_WAIT, shared[20], 0), OK);
		shared[1]++;
		ERR(SYS(L4_SYS_SIGNAL, shared[21], 0), OK);
	}
}

TEST(notification_between_spaces)
{
	struct helper *h = helper_fork(ping, 0, 100);

	shared[20] = obj_new(L4_TYPE_NOTIFICATION, 0);
	shared[21] = obj_new(L4_TYPE_NOTIFICATION, 0);
	helper_start(h);
	for (u64 i = 1; i <= 500; i++) {
		ERR(SYS(L4_SYS_SIGNAL, shared[20], 0), OK);
		ERR(SYS(L4_SYS_WAIT, shared[21], 0), OK);
		EQ(shared[1], i);
	}
	helper_join(h);
}

/* WAIT takes the word of a Notification that is bound to a thread which is not in RECV. */
TEST(notification_bound_can_be_polled)
{
	n = obj_new(L4_TYPE_NOTIFICATION, 0);
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, n));
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK);
	EQ(SYS(L4_SYS_WAIT, n, 0).badge, 1);
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, 0));
}
