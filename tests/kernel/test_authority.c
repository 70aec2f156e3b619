/* SPDX-License-Identifier: GPL-2.0-only */
/* An object that was configured with a capability loses it when that capability goes, also while copies exist. */
#include "harness.h"

#define MINTED(slot) cap_mint(slot, L4_RIGHT_ALL, 0)

static void counts(struct helper *self)
{
	for (;;)
		shared[1]++;
}

static void nothing(struct helper *self) {}

/* Runs all threads of priority 100 that can run: this helper yields once and ends. */
static void let_run(void)
{
	struct helper *h = helper_make(nothing, 0, 50);

	helper_start(h);
	helper_join(h);
}

static struct helper *counter(u64 cnode, u64 vspace, u64 sched)
{
	struct helper *h = helper_make(counts, 0, 100);

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, cnode, vspace, (u64)h->utcb, 0));
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, sched ? sched : h->sched, 100, 100));
	return h;
}

TEST(authority_cnode_of_a_thread)
{
	u64 cap = MINTED(L4_ROOT_SLOT_CNODE), other = MINTED(L4_ROOT_SLOT_CNODE);
	struct helper *h = counter(cap, L4_ROOT_SLOT_VSPACE, 0);

	MUST(INV(h->thread, L4_THREAD_RESUME));
	ERR(INV(h->thread, L4_THREAD_READ_REGS), STATE);
	ERR(slot_delete(cap), OK);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	ERR(INV(h->thread, L4_THREAD_RESUME), UNBOUND);
	let_run();
	EQ(shared[1], 0);
	/* configured again by another capability, it runs on */
	MUST(INV(h->thread, L4_THREAD_CONFIGURE, other, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, 0));
	ERR(INV(h->thread, L4_THREAD_RESUME), OK);
	ERR(slot_revoke(other), OK);
	ERR(INV(h->thread, L4_THREAD_RESUME), UNBOUND);
}

TEST(authority_vspace_of_a_thread)
{
	u64 cap = MINTED(L4_ROOT_SLOT_VSPACE), frame = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);
	struct helper *h = counter(L4_ROOT_SLOT_CNODE, cap, 0);

	EQ(frame_map(frame, (u64)h->utcb, L4_RIGHT_READ), L4_ERR_MAPPED);
	MUST(INV(h->thread, L4_THREAD_RESUME));
	ERR(slot_delete(cap), OK);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	ERR(INV(h->thread, L4_THREAD_RESUME), UNBOUND);
	let_run();
	EQ(shared[1], 0);
	/* its UTCB is not mapped any more */
	EQ(frame_map(frame, (u64)h->utcb, L4_RIGHT_READ), L4_ERR_OK);
}

/* Configures the same thread twice: the second capability counts. */
TEST(authority_is_the_last_capability_configured)
{
	u64 first = MINTED(L4_ROOT_SLOT_VSPACE), second = MINTED(L4_ROOT_SLOT_VSPACE);
	struct helper *h = counter(L4_ROOT_SLOT_CNODE, first, 0);

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, second, (u64)h->utcb, 0));
	ERR(slot_delete(first), OK);
	ERR(INV(h->thread, L4_THREAD_RESUME), OK);
	ERR(slot_delete(second), OK);
	ERR(INV(h->thread, L4_THREAD_RESUME), UNBOUND);
}

TEST(authority_sched_context_of_a_thread)
{
	u64 sc = sched_new(10000, 10000), cap = MINTED(sc);
	struct helper *h = counter(L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, cap), *other = helper_make(counts, 0, 100);

	MUST(INV(h->thread, L4_THREAD_RESUME));
	ERR(INV(other->thread, L4_THREAD_SET_SCHED, sc, 100, 100), BUSY);
	ERR(slot_delete(cap), OK);
	let_run();
	EQ(shared[1], 0);
	ERR(INV(other->thread, L4_THREAD_SET_SCHED, sc, 100, 100), OK);
}

static u64 ep, reply;

static void serves(struct helper *self)
{
	recv(ep, reply);
	for (;;)
		shared[1]++;
}

static void calls(struct helper *self) { SYS(L4_SYS_CALL, ep, 0); }

/* The SchedContext is lent to a server when its capability goes. */
TEST(authority_sched_context_that_is_lent)
{
	u64 sc = sched_new(10000, 10000), cap = MINTED(sc);
	struct helper *server = helper_make(serves, 0, 100), *client = helper_make(calls, 0, 90), *meter;

	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
	helper_start(server);
	let_run();
	MUST(INV(server->thread, L4_THREAD_SET_SCHED, 0, 40, 40)); /* passive, and below let_run */
	MUST(INV(client->thread, L4_THREAD_SET_SCHED, cap, 90, 90));
	helper_start(client);
	let_run();
	meter = helper_make(nothing, 0, 10);
	EQ(shared[1], 0);
	ERR(slot_delete(cap), OK);
	helper_start(meter);
	helper_join(meter);
	EQ(shared[1], 0);
	/* the answer does not bring the time back */
	ERR(slot_delete(reply), OK);
	ERR(INV(client->thread, L4_THREAD_SET_SCHED, sc, 10, 10), OK);
}

TEST(authority_bound_notification_of_a_thread)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), cap = MINTED(n);

	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	ERR(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, cap), OK);
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), OK);
	ERR(slot_delete(cap), OK);
	ERR(SYS(L4_SYS_SIGNAL, n, 0), OK);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
	ERR(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, n), OK);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), OK);
	ERR(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_BIND_NOTIFICATION, 0), OK);
}

TEST(authority_notification_of_an_interrupt)
{
	u64 irq = slot_new(), n = obj_new(L4_TYPE_NOTIFICATION, 0), cap = cap_mint(n, L4_RIGHT_ALL, 8);

	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, L4_ROOT_SLOT_CNODE, irq));
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, cap), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), OK);
	ERR(slot_delete(cap), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_ACK), UNBOUND);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, n), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_UNBIND), OK);
	ERR(INV(irq, L4_IRQ_HANDLER_BIND, n), OK);
}

TEST(authority_notification_of_the_log)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), cap = cap_mint(n, L4_RIGHT_WRITE, 8);

	ERR(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_LOG_BIND, cap), OK);
	print("# for the log only\n");
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 8);
	ERR(slot_delete(cap), OK);
	print("# for both\n");
	ERR(SYS(L4_SYS_POLL, n, 0), AGAIN);
}

TEST(authority_vcpu_of_a_thread)
{
	u64 vcpu = obj_new(L4_TYPE_VCPU, 0), cap = MINTED(vcpu);
	struct helper *h = helper_make(counts, 0, 100);

	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, cap, TEST_VADDR), OK);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, vcpu, TEST_VADDR), BUSY);
	ERR(slot_delete(cap), OK);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, vcpu, TEST_VADDR), OK);
}

TEST(authority_vspace_of_a_guestspace)
{
	u64 v = obj_new(L4_TYPE_VSPACE, 16), cap = MINTED(v), space = obj_new(L4_TYPE_GUESTSPACE, 0);

	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, cap), OK);
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, ~0UL), OK);
	ERR(slot_delete(cap), OK);
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, ~0UL), UNBOUND);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, v), OK);
}

static void faults(struct helper *self) { *(volatile u64 *)NO_VADDR = 1; }

/* A fault message that is still queued is dropped with the capability that it was sent by. */
TEST(authority_fault_endpoint_of_a_thread)
{
	struct helper *h = helper_make(faults, 0, 100);
	u64 cap;

	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	cap = cap_mint(ep, L4_RIGHT_WRITE | L4_RIGHT_GRANT, 77);
	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, (u64)h->utcb, cap));
	helper_start(h);
	let_run();
	ERR(INV(h->thread, L4_THREAD_READ_REGS), STATE);
	ERR(slot_delete(cap), OK);
	ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN);
}

/* A thread cannot take away its own thread, CNode or VSpace, by any operation. */
TEST(authority_own_things_stay)
{
	u64 cnode = slot_new();

	ERR(slot_revoke(L4_ROOT_SLOT_CNODE), BUSY);
	ERR(slot_revoke(L4_ROOT_SLOT_VSPACE), BUSY);
	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_MINT, cnode, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_THREAD, 15, 0));
	ERR(slot_delete(L4_ROOT_SLOT_THREAD), BUSY);
	EQ(slot_type_error(L4_ROOT_SLOT_THREAD), L4_ERR_OP);
}

static u64 box;

static void deletes_the_box(struct helper *self)
{
	arch_fpu_fill(1);
	slot_delete(box);
	shared[1]++;
}

/* A CNode takes all that it holds along when it goes: also what the thread runs by that deletes it, which then stops. */
TEST(authority_own_things_go_with_their_cnode)
{
	for (u64 i = 0; i < 3; i++) {
		struct helper *h;
		u64 cap;

		box = obj_new(L4_TYPE_CNODE, 9);
		h = helper_fork(deletes_the_box, 0, 100);
		cap = MINTED(L4_ROOT_SLOT_CNODE);
		MUST(INV(h->thread, L4_THREAD_CONFIGURE, cap, h->vspace, (u64)h->utcb, 0));
		helper_start(h);
		ERR(INV(box, L4_CNODE_MOVE, 1, L4_ROOT_SLOT_CNODE, (u64[]){ cap, h->vspace, h->thread }[i]), OK);
		let_run();
		EQ(slot_type_error(box), L4_ERR_CAP);
		EQ(shared[1], 0);
		if (i < 2)
			ERR(INV(h->thread, L4_THREAD_READ_REGS), OK);
	}
}
