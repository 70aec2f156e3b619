/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VCPU_ENTER goes by what the last one found: each test changes between two enters what that was. And ways out of guest
 * user mode before which another thread runs.
 */
#include "guest.h"

#define ROOT L4_ROOT_SLOT_CNODE
#define S0   guest.space[0]

#define ENTERS(space)                                    \
	do {                                             \
		user_call(PROGRAM(load), CODE_VADDR, 0); \
		EQ(enter(space), L4_EXIT_SYSCALL);       \
	} while (0)
#define REFUSED(space, why)                              \
	do {                                             \
		user_call(PROGRAM(load), CODE_VADDR, 0); \
		EQ(enter(space), L4_EXIT_ERROR);         \
		EQ(vcpu->exit_code, L4_ERR_##why);       \
	} while (0)

GUEST_TEST(enter_after_its_slot_was_moved)
{
	u64 to = guest.free;

	ENTERS(S0);
	ERR(INV(ROOT, L4_CNODE_MOVE, to, ROOT, S0), OK);
	REFUSED(S0, CAP);
	ENTERS(to);
	/* another one of the same type comes to the slot */
	ERR(INV(ROOT, L4_CNODE_MOVE, S0, ROOT, guest.foreign), OK);
	REFUSED(S0, UNBOUND);
	ENTERS(to);
	ERR(INV(ROOT, L4_CNODE_MOVE, guest.foreign, ROOT, S0), OK);
	ERR(INV(ROOT, L4_CNODE_MOVE, S0, ROOT, to), OK);
	REFUSED(to, CAP);
	ENTERS(S0);
}

GUEST_TEST(enter_after_its_slot_was_emptied)
{
	u64 copy = guest.free;

	ERR(INV(ROOT, L4_CNODE_COPY, copy, ROOT, S0, L4_RIGHT_ALL), OK);
	ENTERS(copy);
	ERR(slot_delete(copy), OK);
	REFUSED(copy, CAP);
	ENTERS(S0);
	ERR(INV(ROOT, L4_CNODE_COPY, copy, ROOT, S0, L4_RIGHT_ALL), OK);
	ENTERS(copy);
	ERR(slot_delete(copy), OK);
	ERR(INV(ROOT, L4_CNODE_COPY, copy, ROOT, S0, L4_RIGHT_READ), OK);
	REFUSED(copy, RIGHTS);
	ERR(slot_delete(copy), OK);
	ERR(INV(ROOT, L4_CNODE_MINT, copy, ROOT, S0, L4_RIGHT_ALL, 0), OK);
	ENTERS(copy);
	ERR(slot_revoke(S0), OK);
	REFUSED(copy, CAP);
	ENTERS(S0);
}

/* Two are remembered. What is not true any more of one, while it is the last or the one before it, is forgotten. */
GUEST_TEST(enter_after_the_slot_of_the_other_space_was_emptied)
{
	u64 copy = guest.free;

	for (u64 i = 0; i < 4; i++) {
		ERR(INV(ROOT, L4_CNODE_COPY, copy, ROOT, S0, L4_RIGHT_ALL), OK);
		ENTERS(guest.space[1]);
		ENTERS(copy);
		ENTERS(guest.space[1]);
		if (i & 1)
			ENTERS(copy);
		ERR(slot_delete(copy), OK);
		if (i & 2)
			REFUSED(copy, CAP);
		ENTERS(guest.space[1]);
		REFUSED(copy, CAP);
		ENTERS(guest.space[1]);
	}
	REFUSED(0, CAP);
}

/* Of three, two of which are remembered, each has what was filled into it: nothing was flushed when the table changed. */
GUEST_TEST(enter_of_spaces_in_turn)
{
	u64 page[3], value;

	for (u64 i = 0; i < 3; i++) {
		page[i] = page_new();
		*(u64 *)gp(page[i]) = 100 + i;
		table_map(user_root, DATA_VADDR, page[i], LEAF_RW);
		CHECK(user_load(guest.space[i], DATA_VADDR, &value));
	}
	for (u64 i = 0; i < 60; i++) {
		u64 n = i < 30 ? i % 3 : i % 2;

		CHECK(user_load(guest.space[n], DATA_VADDR, &value));
		EQ(value, 100 + n);
	}
}

/* The space leaves its VSpace when the capability that it was configured with goes, and may join another then. */
GUEST_TEST(enter_after_the_space_has_another_vspace)
{
	u64 own = guest.free, other = guest.free + 1, space = guest.unconfigured;

	ERR(INV(ROOT, L4_CNODE_COPY, own, ROOT, guest_vspace, L4_RIGHT_ALL), OK);
	ERR(retype(test_untyped, L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS, other, 1), OK);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, own), OK);
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, user_root), OK);
	ENTERS(space);
	ERR(slot_revoke(own), OK);
	REFUSED(space, UNBOUND);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, own), OK);
	ERR(INV(space, L4_GUESTSPACE_SET_ROOT, user_root), OK);
	ENTERS(space);
	ERR(slot_revoke(own), OK);
	ERR(INV(space, L4_GUESTSPACE_CONFIGURE, other), OK);
	REFUSED(space, UNBOUND);
	ENTERS(S0);
}

/* Other objects in the same slot and at the same address. */
GUEST_TEST(enter_after_the_memory_of_the_space_was_used_anew)
{
	u64 memory = guest.free, space = guest.free + 1;

	ERR(retype(test_untyped, L4_TYPE_UNTYPED, 13, memory, 1), OK);
	for (int again = 0; again < 2; again++) {
		ERR(retype(memory, L4_TYPE_GUESTSPACE, 0, space, 1), OK);
		ERR(INV(space, L4_GUESTSPACE_CONFIGURE, guest_vspace), OK);
		ERR(INV(space, L4_GUESTSPACE_SET_ROOT, user_root), OK);
		ENTERS(space);
		ERR(again ? slot_revoke(memory) : slot_delete(space), OK);
		REFUSED(space, CAP);
		ERR(slot_revoke(memory), OK);
		ERR(retype(memory, L4_TYPE_GUESTSPACE, 0, space, 1), OK);
		REFUSED(space, UNBOUND);
		ERR(slot_revoke(memory), OK);
		ERR(retype(memory, L4_TYPE_CNODE, 13, space, 1), OK);
		REFUSED(space, TYPE);
		ERR(slot_revoke(memory), OK);
	}
	ENTERS(S0);
}

/* The frame is zero, so that user mode begins with a fault at 0. */
static void enters_at(u64 gpa)
{
	vcpu->frame_gpa = gpa;
	EQ(enter(S0), L4_EXIT_FAULT);
	EQ(vcpu->fault_addr, 0);
}

static void refused_at(u64 gpa)
{
	vcpu->frame_gpa = gpa;
	EQ(enter(S0), L4_EXIT_ERROR);
	EQ(vcpu->exit_code, L4_ERR_RANGE);
}

static void frame_in_a_page(struct helper *self)
{
	u64 page = shared[11], frame = L4_PAGE_SIZE - sizeof(struct l4_frame);

	enters_at(GUEST_RAM + frame);
	/* what is not in the region, on its two sides; nor in two regions */
	refused_at(GUEST_RAM + 2 * L4_PAGE_SIZE - sizeof(struct l4_frame));
	refused_at(GUEST_RAM + L4_PAGE_SIZE - sizeof(struct l4_frame) + 16);
	refused_at(GUEST_RAM - sizeof(struct l4_frame) + 16);
	enters_at(GUEST_RAM + frame);
	ERR(INV(page, L4_FRAME_UNMAP), OK);
	refused_at(GUEST_RAM + frame);
	ERR(INV(guest_vspace, L4_VSPACE_ATTACH, page, 2 * GUEST_RAM), OK);
	refused_at(GUEST_RAM + frame);
	enters_at(2 * GUEST_RAM + frame);
	ERR(INV(page, L4_FRAME_UNMAP), OK);
	refused_at(2 * GUEST_RAM + frame);
	vcpu->frame_gpa = FRAME_END_GPA - sizeof(struct l4_frame);
	ENTERS(S0);
	shared[12] = 1;
}

GUEST_SCENE(enter_after_the_memory_of_the_frame_has_gone)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);

	guest_make(frame_in_a_page);
	guest_run_losing(page);
}

static void enters_by_two_cnodes(struct helper *self)
{
	ENTERS(S0);
	shared[1] = 1;
	SYS(L4_SYS_VCPU_WAIT, 0, 0);
	REFUSED(S0, UNBOUND);
	shared[1] = 2;
}

/* The slot of its CNode names one space, that of the CNode by which CONFIGURE replaces it another one. */
GUEST_SCENE(enter_after_the_cnode_was_replaced)
{
	u64 cnode = obj_new(L4_TYPE_CNODE, L4_ROOT_CNODE_BITS + L4_CNODE_SLOT_BITS), fault;
	u64 vaddr = L4_GUEST_VCPU_VADDR + (guest_place == GUEST_LOW ? 0 : ARCH_GUEST_BASE);

	guest_make(enters_by_two_cnodes);
	MUST(INV(cnode, L4_CNODE_COPY, S0, ROOT, guest.foreign, L4_RIGHT_ALL));
	MUST(INV(cnode, L4_CNODE_COPY, parent_endpoint, ROOT, parent_endpoint, L4_RIGHT_ALL));
	fault = cap_mint(parent_endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, guest.helper->index + 1);
	helper_start(guest.helper);
	helper_settle();
	EQ(shared[1], 1);
	/* its vCPU goes first: STATE before */
	ERR(INV(guest.helper->thread, L4_THREAD_SUSPEND), OK);
	ERR(INV(guest.helper->thread, L4_THREAD_CONFIGURE, cnode, guest.helper->vspace, (u64)guest.helper->utcb, fault),
	    STATE);
	ERR(slot_revoke(guest.vcpu), OK);
	ERR(INV(guest.helper->thread, L4_THREAD_CONFIGURE, cnode, guest.helper->vspace, (u64)guest.helper->utcb, fault),
	    OK);
	ERR(INV(guest.helper->thread, L4_THREAD_BIND_VCPU, guest.vcpu, vaddr), OK);
	guest_run();
	EQ(shared[1], 2);
}

static void waits_for_a_signal(struct helper *self)
{
	while (!SYS(L4_SYS_WAIT, self->arg[0], 0).error)
		shared[2]++;
}

static void refused_after_signals(struct helper *self)
{
	u64 kick = shared[3];

	ENTERS(S0);
	flush(kick, L4_FLUSH_SIGNAL, 0, 0);
	vcpu->pending = 1;
	EQ(enter(S0), L4_EXIT_EVENT);
	EQ(shared[2], 1);
	vcpu->pending = 0;
	flush(kick, L4_FLUSH_SIGNAL, 0, 0);
	REFUSED(4000, CAP);
	EQ(shared[2], 2);
	flush(kick, L4_FLUSH_SIGNAL, 0, 0);
	ENTERS(S0);
	EQ(shared[2], 3);
	shared[4] = 1;
}

/* An enter that is refused, and one that is not, after which a thread of higher priority runs first. */
GUEST_SCENE(enter_that_wakes_another_thread)
{
	u64 kick = obj_new(L4_TYPE_NOTIFICATION, 0);

	guest_make(refused_after_signals);
	shared[3] = kick;
	helper_start(helper_make(waits_for_a_signal, kick, 110));
	helper_settle();
	guest_run();
	EQ(shared[4], 1);
}
