/* SPDX-License-Identifier: GPL-2.0-only */
/* Faults of threads: the message, going on after an answer, and threads without a handler. */
#include "harness.h"

#define RW (L4_RIGHT_READ | L4_RIGHT_WRITE)

static void loads(struct helper *self)
{
	shared[1] = *(volatile u64 *)TEST_VADDR;
	shared[2]++;
}

TEST(fault_is_paged_and_restarted)
{
	struct helper *h = helper_make(loads, 0, 100);
	u64 f = obj_new(L4_TYPE_FRAME, 12);
	struct sys r;

	helper_start(h);
	r = helper_fault(h);
	EQ(r.tag, TAG(L4_FAULT_PAGE, 4, 0));
	EQ(r.m[0], TEST_VADDR);
	EQ(r.m[1], L4_RIGHT_READ);
	CHECK(r.m[2] >= (u64)loads && r.m[2] < (u64)loads + 256);
	EQ(r.m[3], 0);
	helper_answer(0); /* nothing mapped: the same fault again */
	r = helper_fault(h);
	EQ(r.m[0], TEST_VADDR);
	EQ(shared[2], 0);
	EQ(frame_map(f, TEST_VADDR, RW), L4_ERR_OK);
	*(volatile u64 *)TEST_VADDR = 42;
	helper_answer(0);
	helper_join(h);
	EQ(shared[1], 42);
	EQ(shared[2], 1);
}

TEST(fault_answered_with_a_label_stops)
{
	struct helper *h = helper_make(loads, 0, 100);

	helper_start(h);
	helper_fault(h);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), STATE);
	helper_answer(TAG(1, 0, 0));
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK); /* it is stopped */
	EQ(shared[2], 0);
	ERR(INV(h->thread, L4_THREAD_RESUME), OK);
	EQ(helper_fault(h).m[0], TEST_VADDR);
}

static void traps(struct helper *self)
{
	arch_try_trap();
	shared[2]++;
}

TEST(fault_exception)
{
	struct helper *h = helper_make(traps, 0, 100);
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR];
	struct sys r;

	helper_start(h);
	r = helper_fault(h);
	EQ(LABEL(r.tag), L4_FAULT_EXCEPTION);
	EQ(r.m[0], ARCH_TRAP_VECTOR);
	EQ(r.m[2], (u64)arch_try_trap);
	CHECK(r.m[3] > (u64)loads - (1 << 22));
	/* the handler changes its instruction pointer */
	helper_answer(TAG(1, 0, 0));
	MUST(INV(h->thread, L4_THREAD_READ_REGS));
	*frame_ip(f) = (u64)arch_fixup;
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	helper_start(h);
	helper_join(h);
	EQ(shared[2], 1);
}

static void nothing(struct helper *self) {}

TEST(fault_without_endpoint_stops)
{
	struct helper *h = helper_make(loads, 0, 100), *other = helper_make(nothing, 0, 50);

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, 0));
	helper_start(h);
	helper_start(other);
	helper_join(other);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	EQ(shared[2], 0);
}

/* A thread stops when its fault Endpoint is deleted while its fault message waits or is unanswered. */
TEST(fault_endpoint_deleted)
{
	struct helper *h, *other;
	u64 ep = obj_new(L4_TYPE_ENDPOINT, 0), reply = obj_new(L4_TYPE_REPLY, 0);

	for (int answered = 0; answered < 2; answered++) {
		h = helper_make(loads, 0, 100);
		MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, ep));
		helper_start(h);
		other = helper_make(nothing, 0, 50);
		helper_start(other);
		helper_join(other);
		if (answered) {
			ERR(recv(ep, reply), OK);
			ERR(slot_delete(reply), OK);
		} else {
			ERR(slot_delete(ep), OK);
			ep = obj_new(L4_TYPE_ENDPOINT, 0);
		}
		ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	}
	EQ(shared[2], 0);
}

/* The Endpoint was looked up at CONFIGURE: emptying the slot afterwards changes nothing; revoking does. */
TEST(fault_capability_is_derived)
{
	struct helper *h = helper_make(loads, 0, 100), *other;
	u64 ep = obj_new(L4_TYPE_ENDPOINT, 0), badged = cap_mint(ep, 15, 33), moved = slot_new();

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, badged));
	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_MOVE, moved, L4_ROOT_SLOT_CNODE, badged));
	helper_start(h);
	EQ(recv(ep, obj_new(L4_TYPE_REPLY, 0)).badge, 33);
	h = helper_make(loads, 0, 100);
	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, moved));
	ERR(slot_revoke(moved), OK);
	helper_start(h);
	other = helper_make(nothing, 0, 50);
	helper_start(other);
	helper_join(other);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
}

static void touches_many(struct helper *self)
{
	for (u64 i = 0; i < 64; i++)
		*(volatile u64 *)(TEST_VADDR + i * L4_PAGE_SIZE) = i;
}

TEST(fault_pager_in_a_loop)
{
	struct helper *h = helper_fork(touches_many, 0, 100);

	helper_start(h);
	for (u64 i = 0; i < 64; i++) {
		struct sys r = helper_fault(h);

		EQ(r.m[0], TEST_VADDR + i * L4_PAGE_SIZE);
		EQ(r.m[1] & L4_RIGHT_WRITE, L4_RIGHT_WRITE);
		ERR(INV(h->vspace, L4_VSPACE_MAP, obj_new(L4_TYPE_FRAME, 12), r.m[0], RW), OK);
		helper_answer(0);
	}
	helper_join(h);
}
