/* SPDX-License-Identifier: GPL-2.0-only */
/* Thread: CONFIGURE, SET_SCHED, registers, RESUME and SUSPEND, binding of Notifications. */
#include "harness.h"

static void note(struct helper *self)
{
	shared[1] = self->arg[0];
	shared[2] = (u64)self->utcb;
	self->utcb->user[0] = 3;
}

TEST(thread_runs_and_ends)
{
	struct helper *h = helper_make(note, 77, 100);

	EQ(shared[1], 0);
	helper_start(h);
	EQ(shared[1], 0); /* of lower priority: does not run before we block */
	helper_join(h);
	EQ(shared[1], 77);
	EQ(h->utcb->user[0], 3);
}

TEST(thread_in_another_space)
{
	struct helper *h = helper_fork(note, 78, 100);

	helper_start(h);
	helper_join(h);
	EQ(shared[1], 78);
	EQ(shared[2], (u64)h->utcb);
}

TEST(thread_configure_errors)
{
	u64 t = obj_new(L4_TYPE_THREAD, 0), ep = obj_new(L4_TYPE_ENDPOINT, 0), v = obj_new(L4_TYPE_VSPACE, 15);
	u64 weak_ep = cap_copy(ep, L4_RIGHT_WRITE), weak_v = cap_copy(v, L4_RIGHT_READ);
	u64 weak_c = cap_copy(L4_ROOT_SLOT_CNODE, L4_RIGHT_READ), weak_t = cap_copy(t, L4_RIGHT_READ);
	u64 frame = obj_new(L4_TYPE_FRAME, 12);
	const u64 c = L4_ROOT_SLOT_CNODE, at = UTCB_VADDR;

	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
	ERR(INV(t, L4_THREAD_CONFIGURE, 4000, v, at, ep), CAP);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, 4000, at, ep), CAP);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, at, 4000), CAP);
	ERR(INV(t, L4_THREAD_CONFIGURE, v, v, at, ep), TYPE);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, c, at, ep), TYPE);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, at, c), TYPE);
	ERR(INV(t, L4_THREAD_CONFIGURE, weak_c, v, at, ep), RIGHTS);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, weak_v, at, ep), RIGHTS);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, at, weak_ep), RIGHTS);
	ERR(INV(weak_t, L4_THREAD_CONFIGURE, c, v, at, ep), RIGHTS);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, at + 8, ep), ALIGN);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, L4_USER_TOP, ep), RANGE);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, 0xffffffff80000000, ep), RANGE);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, L4_ROOT_SLOT_VSPACE, SHARED_VADDR, ep), MAPPED);
	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
	ERR(INV(t, 8), OP);
	/* in a VSpace whose table pages are all in use, none of them at the last level */
	for (u64 i = 0; i < 16; i++) {
		INV(v, L4_VSPACE_MAP, frame, i << 30, L4_RIGHT_READ);
		INV(frame, L4_FRAME_UNMAP);
	}
	ERR(INV(t, L4_THREAD_CONFIGURE, c, v, NO_VADDR, ep), MEMORY);
	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
	ERR(INV(t, L4_THREAD_CONFIGURE, c, L4_ROOT_SLOT_VSPACE, at, 0), OK);
	EQ(*(volatile u64 *)at, 0); /* the UTCB is there, and zero */
	/* again, elsewhere: the first place is free again */
	ERR(INV(t, L4_THREAD_CONFIGURE, c, L4_ROOT_SLOT_VSPACE, at + L4_PAGE_SIZE, ep), OK);
	EQ(frame_map(frame, at, L4_RIGHT_READ), L4_ERR_OK);
}

TEST(thread_must_be_stopped)
{
	struct helper *h = helper_make(note, 1, 100);

	helper_start(h);
	ERR(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, UTCB_VADDR, 0), STATE);
	ERR(INV(h->thread, L4_THREAD_WRITE_REGS), STATE);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), STATE);
	ERR(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_READ_REGS), STATE);
	helper_join(h);
	EQ(shared[1], 1);
}

TEST(thread_registers)
{
	struct helper *h = helper_make(note, 1, 100);
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], written;
	u64 read_only = cap_copy(h->thread, L4_RIGHT_READ), write_only = cap_copy(h->thread, L4_RIGHT_WRITE);

	for (u64 i = 0; i < sizeof(*f) / 8; i++)
		((u64 *)f)[i] = 0x1000 + i;
	written = *f;
	ERR(INV(read_only, L4_THREAD_WRITE_REGS), RIGHTS);
	ERR(INV(write_only, L4_THREAD_READ_REGS), RIGHTS);
	ERR(INV(write_only, L4_THREAD_WRITE_REGS), OK);
	memset(f, 0, sizeof(*f));
	ERR(INV(read_only, L4_THREAD_READ_REGS), OK);
	EQ(*frame_ip(f), *frame_ip(&written));
	EQ(*frame_sp(f), *frame_sp(&written));
	EQ(*frame_arg0(f), *frame_arg0(&written));
	EQ(*frame_arg1(f), *frame_arg1(&written));
	EQ(*frame_result(f), *frame_result(&written));
}

static void counts(struct helper *self)
{
	for (;;)
		shared[1]++;
}

static void lets_run(struct helper *self)
{
	u64 start = l4_counter();

	while (l4_counter() - start < boot_info->counter_hz / 50)
		SYS(L4_SYS_YIELD, 0, 0);
}

static void run_others(void)
{
	struct helper *h = helper_make(lets_run, 0, 100);

	helper_start(h);
	helper_join(h);
}

TEST(thread_suspend_and_resume)
{
	struct helper *h = helper_make(counts, 0, 100);
	u64 seen;

	helper_start(h);
	run_others();
	CHECK(shared[1] > 0);
	ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
	seen = shared[1];
	run_others();
	EQ(shared[1], seen);
	/* its registers can be read now, and it goes on where it was */
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	CHECK(*frame_ip((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR]) >= 0x400000);
	ERR(INV(h->thread, L4_THREAD_RESUME), OK);
	ERR(INV(h->thread, L4_THREAD_RESUME), OK); /* runs already: no effect */
	run_others();
	CHECK(shared[1] > seen);
	ERR(INV(cap_copy(h->thread, L4_RIGHT_READ), L4_THREAD_SUSPEND), RIGHTS);
	ERR(INV(cap_copy(h->thread, L4_RIGHT_READ), L4_THREAD_RESUME), RIGHTS);
}

static void suspends_itself(struct helper *self)
{
	shared[1] = 1;
	ERR(INV(self->thread, L4_THREAD_SUSPEND), OK);
	shared[1] = 2;
}

TEST(thread_suspends_itself)
{
	struct helper *h = helper_make(suspends_itself, 0, 100);

	helper_start(h);
	run_others();
	EQ(shared[1], 1);
	ERR(INV(h->thread, L4_THREAD_RESUME), OK);
	helper_join(h);
	EQ(shared[1], 2);
}

static void blocks(struct helper *self)
{
	static const u64 numbers[] = { L4_SYS_SEND, L4_SYS_RECV, L4_SYS_CALL, L4_SYS_WAIT };

	shared[1] = 1;
	shared[2] = SYS(numbers[self->arg[0]], shared[3], 0).error;
}

/* Every way to wait ends with CANCELLED when the thread is suspended and resumed, or the object deleted. */
TEST(thread_cancelled_in_every_wait)
{
	for (u64 how = 0; how < 2; how++) {
		for (u64 i = 0; i < 4; i++) {
			struct helper *h = helper_make(blocks, i, 100);

			shared[3] = obj_new(i == 3 ? L4_TYPE_NOTIFICATION : L4_TYPE_ENDPOINT, 0);
			shared[1] = shared[2] = 0;
			helper_start(h);
			run_others();
			EQ(shared[1], 1);
			EQ(shared[2], 0);
			if (how) {
				ERR(slot_delete(shared[3]), OK);
			} else {
				ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
				ERR(INV(h->thread, L4_THREAD_RESUME), OK);
			}
			helper_join(h);
			EQ(shared[2], L4_ERR_CANCELLED);
			helper_forget();
			helper_forget();
		}
	}
}

TEST(thread_deleted_in_every_wait)
{
	for (u64 i = 0; i < 4; i++) {
		struct helper *h = helper_make(blocks, i, 100);
		u64 object = obj_new(i == 3 ? L4_TYPE_NOTIFICATION : L4_TYPE_ENDPOINT, 0);

		shared[3] = object;
		helper_start(h);
		run_others();
		ERR(slot_delete(h->thread), OK);
		/* nobody is left in the queue */
		if (i == 3) {
			ERR(SYS(L4_SYS_SIGNAL, object, 0), OK);
			EQ(SYS(L4_SYS_POLL, object, 0).badge, 1);
		} else {
			ERR(SYS(L4_SYS_NB_RECV, object, 0), AGAIN);
			ERR(SYS(L4_SYS_NB_SEND, object, 0), AGAIN);
		}
		helper_forget();
		helper_forget();
	}
}

TEST(thread_set_sched_errors)
{
	struct helper *h = helper_make(note, 1, 100);
	u64 sc = sched_new(1000, 1000);

	ERR(INV(h->thread, L4_THREAD_SET_SCHED, sc, 256, 0), RANGE);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, sc, 0, 256), RANGE);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, sc, ~0UL, 0), RANGE);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, 4000, 1, 1), CAP);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, h->thread, 1, 1), TYPE);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, 1, 1), BUSY);
	ERR(INV(cap_copy(h->thread, L4_RIGHT_READ), L4_THREAD_SET_SCHED, sc, 1, 1), RIGHTS);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, sc, 100, 100), OK);
	ERR(INV(h->thread, L4_THREAD_SET_SCHED, h->sched, 100, 100), OK);
	helper_start(h);
	helper_join(h);
	EQ(shared[1], 1);
}

static void raises(struct helper *self)
{
	shared[1] = INV(self->thread, L4_THREAD_SET_SCHED, self->sched, 101, 100).error;
	shared[2] = INV(self->thread, L4_THREAD_SET_SCHED, self->sched, 100, 101).error;
	shared[3] = INV(self->thread, L4_THREAD_SET_SCHED, self->sched, 99, 99).error;
	shared[4] = INV(self->thread, L4_THREAD_SET_SCHED, self->sched, 100, 99).error;
}

TEST(thread_priority_is_bounded_by_the_callers)
{
	struct helper *h = helper_make(raises, 0, 100);

	helper_start(h);
	helper_join(h);
	EQ(shared[1], L4_ERR_PRIORITY);
	EQ(shared[2], L4_ERR_PRIORITY);
	EQ(shared[3], L4_ERR_OK);
	EQ(shared[4], L4_ERR_PRIORITY);
}

TEST(thread_bind_notification)
{
	struct helper *a = helper_make(note, 1, 100), *b = helper_make(note, 1, 100);
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), m = obj_new(L4_TYPE_NOTIFICATION, 0);
	u64 weak = cap_copy(n, L4_RIGHT_WRITE);

	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, 4000), CAP);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, a->thread), TYPE);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, weak), RIGHTS);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, n), OK);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, m), BUSY);
	ERR(INV(b->thread, L4_THREAD_BIND_NOTIFICATION, n), BUSY);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, 0), OK);
	ERR(INV(b->thread, L4_THREAD_BIND_NOTIFICATION, n), OK);
	ERR(slot_delete(b->thread), OK);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, n), OK);
	ERR(slot_delete(weak), OK);
	ERR(slot_delete(n), OK);
	ERR(INV(a->thread, L4_THREAD_BIND_NOTIFICATION, m), OK);
}

TEST(thread_destroyed_by_its_cnode_or_vspace)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, 10), vspace = vspace_fork(), t = obj_new(L4_TYPE_THREAD, 0);

	ERR(INV(t, L4_THREAD_CONFIGURE, cnode, vspace, UTCB_VADDR, 0), OK);
	ERR(slot_delete(cnode), OK);
	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
	ERR(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, vspace, UTCB_VADDR, 0), OK);
	ERR(slot_delete(vspace), OK);
	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
	ERR(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, UTCB_VADDR, 0), OK);
	ERR(INV(t, L4_THREAD_RESUME), OK);
}
