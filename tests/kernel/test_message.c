/* SPDX-License-Identifier: GPL-2.0-only */
/* Messages: long ones, capability transfer, malformed tags. */
#include "harness.h"

static u64 ep, reply;

static void fixture(void)
{
	ep = obj_new(L4_TYPE_ENDPOINT, 0);
	reply = obj_new(L4_TYPE_REPLY, 0);
}

static void sends_long(struct helper *self)
{
	for (u64 n = 0; n <= L4_MSG_WORDS; n++) {
		u64 w[6];

		for (u64 i = 0; i < L4_MSG_WORDS; i++)
			self->utcb->mr[i] = n * 1000 + i;
		memcpy(w, self->utcb->mr, sizeof(w));
		ERR(sys(L4_SYS_SEND, ep, TAG(n, n, 0), w, 0), OK);
	}
}

TEST(message_of_every_length)
{
	struct helper *h;

	fixture();
	h = helper_fork(sends_long, 0, 100);
	helper_start(h);
	for (u64 n = 0; n <= L4_MSG_WORDS; n++) {
		struct sys r;

		memset(root_utcb->mr, 0xee, sizeof(root_utcb->mr));
		r = recv(ep, 0);
		EQ(r.tag, TAG(n, n, 0));
		for (u64 i = 0; i < n && i < 6; i++)
			EQ(r.m[i], n * 1000 + i);
		for (u64 i = 6; i < L4_MSG_WORDS; i++)
			EQ(root_utcb->mr[i], i < n ? n * 1000 + i : 0xeeeeeeeeeeeeeeee);
	}
	helper_join(h);
}

static void sends_few(struct helper *self)
{
	for (u64 n = 0; n <= 6; n++) {
		u64 w[6] = { 1, 2, 3, 4, 5, 6 };
		struct sys r = sys(self->arg[0], ep, TAG(0, n, 0), w, 0);

		ERR(r, OK);
		for (u64 i = 0; self->arg[0] == L4_SYS_CALL && i < 6; i++)
			EQ(r.m[i], i < n ? i + 11 : 0);
	}
}

static void receives_few(struct helper *self)
{
	u64 w[6] = { 11, 12, 13, 14, 15, 16 };
	struct sys r = recv(ep, reply);

	for (u64 n = 0; n <= 6; n++) {
		for (u64 i = 0; i < 6; i++)
			EQ(r.m[i], i < n ? i + 1 : 0);
		r = sys(n < 6 ? L4_SYS_REPLY_RECV : L4_SYS_SEND, n < 6 ? ep : reply, TAG(0, n, 0), w, reply);
	}
}

/*
 * Registers that are not part of a message are not transferred, by the fast path or the slow one, in calls or
 * answers.
 */
TEST(message_registers_beyond_the_length_stay)
{
	static const u64 calls[] = { L4_SYS_CALL, L4_SYS_CALL, L4_SYS_SEND }, priority[] = { 110, 90, 110 };

	for (u64 k = 0; k < 3; k++) {
		struct helper *from, *to;

		fixture();
		from = helper_fork(sends_few, calls[k], 100);
		to = helper_make(receives_few, 0, priority[k]);
		helper_start(to);
		helper_start(from);
		helper_join(from);
		if (calls[k] == L4_SYS_CALL)
			helper_join(to);
	}
}

static void calls_and_keeps(struct helper *self)
{
	for (u64 n = 0; n <= 7; n++)
		EQ(arch_syscall_keeps(L4_SYS_CALL, ep, TAG(n, n, 0), 0x77), L4_ERR_OK);
	EQ(arch_syscall_keeps(L4_SYS_CALL, reply, 0, 0x77), L4_ERR_TYPE);
	EQ(arch_syscall_keeps(L4_SYS_CALL, 0, 0, 0x77), L4_ERR_CAP);
}

static void answers_and_keeps(struct helper *self)
{
	ERR(recv(ep, reply), OK);
	for (u64 n = 0; n <= 7; n++)
		EQ(arch_syscall_keeps(n < 7 ? L4_SYS_REPLY_RECV : L4_SYS_SEND, n < 7 ? ep : reply, TAG(n, n, 0), reply),
		   L4_ERR_OK);
}

/* Registers that are no result of a system call stay, whichever path a call or an answer takes. */
TEST(message_keeps_all_other_registers)
{
	for (u64 k = 0; k < 2; k++) {
		struct helper *from, *to;

		fixture();
		from = helper_fork(calls_and_keeps, 0, 100);
		to = helper_fork(answers_and_keeps, 0, k ? 90 : 110);
		helper_start(to);
		helper_start(from);
		helper_join(from);
		helper_join(to);
	}
}

TEST(message_malformed_tags)
{
	fixture();
	ERR(SYS(L4_SYS_SEND, ep, TAG(0, L4_MSG_WORDS + 1, 0)), ARG);
	ERR(SYS(L4_SYS_NB_SEND, ep, TAG(0, 255, 0)), ARG);
	ERR(SYS(L4_SYS_CALL, ep, TAG(0, 0, L4_MSG_CAPS + 1)), ARG);
	ERR(SYS(L4_SYS_SEND, ep, TAG(0, 0, 255)), ARG);
	root_utcb->caps[0] = 0;
	ERR(SYS(L4_SYS_SEND, ep, TAG(0, 0, 1)), CAP);
	root_utcb->caps[0] = ep;
	root_utcb->caps[1] = 4000;
	ERR(SYS(L4_SYS_SEND, ep, TAG(0, 0, 2)), CAP);
	ERR(SYS(L4_SYS_SEND, cap_copy(ep, L4_RIGHT_WRITE), TAG(0, 0, 1)), RIGHTS);
	root_utcb->caps[0] = test_untyped;
	ERR(SYS(L4_SYS_SEND, ep, TAG(0, 0, 1)), TYPE);
	ERR(SYS(L4_SYS_NB_RECV, ep, 0), AGAIN); /* nothing was queued */
}

static void sends_caps(struct helper *self)
{
	for (u64 i = 0; i < 4; i++)
		self->utcb->caps[i] = shared[8 + i];
	shared[1] = SYS(L4_SYS_SEND, self->arg[1], TAG(0, 0, self->arg[0])).error;
}

static u64 transfer(u64 count, u64 recv_slot)
{
	struct helper *h = helper_make(sends_caps, count, 100);
	struct sys r;

	h->arg[1] = ep;
	root_utcb->recv_slot = recv_slot;
	helper_start(h);
	r = recv(ep, 0);
	ERR(r, OK);
	root_utcb->recv_slot = 0;
	helper_join(h);
	helper_forget();
	return l4_tag_caps(r.tag);
}

TEST(message_transfers_capabilities)
{
	u64 n[4], to = slots_new(4);

	fixture();
	for (u64 i = 0; i < 4; i++)
		shared[8 + i] = n[i] = cap_mint(obj_new(L4_TYPE_NOTIFICATION, 0), 15, 10 + i);
	for (u64 count = 1; count <= 4; count++) {
		EQ(transfer(count, to), count);
		for (u64 i = 0; i < 4; i++) {
			EQ(SYS(L4_SYS_SIGNAL, to + i, 0).error, i < count ? L4_ERR_OK : L4_ERR_CAP);
			if (i < count) {
				EQ(SYS(L4_SYS_POLL, n[i], 0).badge, 10 + i);
				ERR(slot_delete(to + i), OK);
			}
		}
	}
	/* it is derived from the sender's: revoking that deletes it */
	EQ(transfer(1, to), 1);
	ERR(slot_revoke(n[0]), OK);
	EQ(slot_type_error(to), L4_ERR_CAP);
	/* the receiver takes none, has no slot, or has too few: the tag counts those that arrived */
	EQ(transfer(2, 0), 0);
	EQ(transfer(2, n[1]), 0);
	EQ(transfer(2, n[0] - 2000000), 0);
	EQ(transfer(2, 1UL << L4_ROOT_CNODE_BITS), 0);
	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_COPY, to + 1, L4_ROOT_SLOT_CNODE, n[2], 15));
	EQ(transfer(3, to), 1);
}

TEST(message_transfer_keeps_rights)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), to = slot_new();

	fixture();
	shared[8] = cap_copy(n, L4_RIGHT_READ);
	EQ(transfer(1, to), 1);
	ERR(SYS(L4_SYS_SIGNAL, to, 0), RIGHTS);
	ERR(SYS(L4_SYS_POLL, to, 0), AGAIN);
}

static void replies_with_cap(struct helper *self)
{
	recv(ep, reply);
	self->utcb->caps[0] = shared[8];
	shared[1] = SYS(L4_SYS_SEND, reply, TAG(3, 0, 1)).error;
}

TEST(message_reply_transfers_too)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), to = slot_new();
	struct helper *h = helper_make(replies_with_cap, 0, 100);
	struct sys r;

	fixture();
	shared[8] = n;
	helper_start(h);
	root_utcb->recv_slot = to;
	r = SYS(L4_SYS_CALL, ep, 0);
	root_utcb->recv_slot = 0;
	EQ(r.tag, TAG(3, 0, 1));
	ERR(SYS(L4_SYS_SIGNAL, to, 0), OK);
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 1);
	helper_join(h);
	EQ(shared[1], L4_ERR_OK);
}
