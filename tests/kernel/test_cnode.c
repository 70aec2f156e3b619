/* SPDX-License-Identifier: GPL-2.0-only */
/* CNode: COPY, MINT, MOVE, DELETE, REVOKE, and the derivation of capabilities. */
#include "harness.h"

#define ROOT                          L4_ROOT_SLOT_CNODE
#define COPY(to, from, rights)        INV(ROOT, L4_CNODE_COPY, to, ROOT, from, rights)
#define MINT(to, from, rights, badge) INV(ROOT, L4_CNODE_MINT, to, ROOT, from, rights, badge)
#define MOVE(to, from)                INV(ROOT, L4_CNODE_MOVE, to, ROOT, from)
#define EMPTY(slot)                   EQ(slot_type_error(slot), L4_ERR_CAP)
#define FULL(slot)                    EQ(slot_type_error(slot), L4_ERR_OP)

TEST(cnode_copy)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), to = slots_new(3);

	ERR(COPY(to, n, L4_RIGHT_ALL), OK);
	ERR(COPY(to + 1, to, L4_RIGHT_READ), OK);
	ERR(SYS(L4_SYS_SIGNAL, to, 0), OK);
	EQ(SYS(L4_SYS_POLL, to + 1, 0).badge, 1);
	ERR(SYS(L4_SYS_SIGNAL, to + 1, 0), RIGHTS);
	/* rights that were dropped cannot be had again */
	ERR(COPY(to + 2, to + 1, L4_RIGHT_ALL), OK);
	ERR(SYS(L4_SYS_SIGNAL, to + 2, 0), RIGHTS);
	/* a copy is a sibling: it stays when the source is revoked or deleted */
	ERR(slot_revoke(n), OK);
	FULL(to);
	ERR(slot_delete(n), OK);
	FULL(to);
	ERR(SYS(L4_SYS_SIGNAL, to, 0), OK);
	EQ(SYS(L4_SYS_POLL, to + 1, 0).badge, 1);
}

TEST(cnode_copy_errors)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), to = slot_new(), cnode = obj_new(L4_TYPE_CNODE, 9);
	u64 weak = cap_copy(cnode, L4_RIGHT_READ), u = obj_new(L4_TYPE_UNTYPED, 12);

	ERR(COPY(0, n, 15), RANGE);
	ERR(COPY(1UL << L4_ROOT_CNODE_BITS, n, 15), RANGE);
	ERR(COPY(~0UL, n, 15), RANGE);
	ERR(COPY(to, 1UL << L4_ROOT_CNODE_BITS, 15), RANGE);
	ERR(COPY(to, 0, 15), RANGE);
	ERR(COPY(to, to, 15), CAP);
	ERR(COPY(n, n, 15), OCCUPIED);
	ERR(COPY(to, u, 15), TYPE);
	ERR(INV(ROOT, L4_CNODE_COPY, to, n, 1, 15), TYPE);
	ERR(INV(ROOT, L4_CNODE_COPY, to, 4000, 1, 15), CAP);
	ERR(INV(ROOT, L4_CNODE_COPY, to, weak, 1, 15), RIGHTS);
	ERR(INV(weak, L4_CNODE_COPY, 1, ROOT, n, 15), RIGHTS);
	ERR(INV(cnode, L4_CNODE_COPY, 8, ROOT, n, 15), RANGE);
	ERR(INV(cnode, 5, 1, ROOT, n, 15), OP);
	EMPTY(to);
	ERR(INV(cnode, L4_CNODE_COPY, 7, ROOT, n, 15), OK);
	ERR(INV(ROOT, L4_CNODE_COPY, to, cnode, 7, 15), OK);
	FULL(to);
}

TEST(cnode_mint_badges)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), a = slots_new(4), f = obj_new(L4_TYPE_FRAME, 12);

	ERR(MINT(a, n, L4_RIGHT_ALL, 0x10), OK);
	ERR(MINT(a + 1, a, L4_RIGHT_ALL, 0x20), ARG); /* once only */
	EMPTY(a + 1);
	ERR(MINT(a + 1, a, L4_RIGHT_WRITE, 0), OK); /* keeps it */
	ERR(MINT(a + 2, f, L4_RIGHT_ALL, 1), ARG);
	ERR(MINT(a + 2, f, L4_RIGHT_ALL, 0), OK);
	SYS(L4_SYS_SIGNAL, a + 1, 0);
	SYS(L4_SYS_SIGNAL, n, 0);
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 0x11);
	ERR(SYS(L4_SYS_POLL, a + 1, 0), RIGHTS);
	ERR(MINT(a, n, L4_RIGHT_ALL, 0), OCCUPIED);
	ERR(MINT(a + 3, test_untyped, L4_RIGHT_ALL, 0), TYPE);
	ERR(MINT(a + 3, 4000, L4_RIGHT_ALL, 0), CAP);
	ERR(MINT(0, n, L4_RIGHT_ALL, 0), RANGE);
}

TEST(cnode_revoke_deletes_derived_only)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), s = slots_new(8);

	ERR(MINT(s, n, 15, 1), OK);
	ERR(MINT(s + 1, s, 15, 0), OK);
	ERR(MINT(s + 2, s + 1, 15, 0), OK);
	ERR(MINT(s + 3, n, 15, 2), OK);
	ERR(COPY(s + 4, s + 1, 15), OK);
	ERR(COPY(s + 5, n, 15), OK);
	ERR(slot_revoke(s + 1), OK);
	EMPTY(s + 2);
	FULL(s + 1);
	FULL(s + 4);
	ERR(slot_revoke(s), OK);
	EMPTY(s + 1);
	EMPTY(s + 4);
	FULL(s);
	FULL(s + 3);
	ERR(slot_delete(n), OK); /* with all that is derived from it, but not its copy */
	EMPTY(n);
	EMPTY(s);
	EMPTY(s + 3);
	FULL(s + 5);
	ERR(slot_revoke(s + 5), OK);
	ERR(slot_revoke(n), CAP);
	ERR(slot_delete(n), CAP);
	ERR(slot_revoke(0), RANGE);
	ERR(slot_delete(1UL << 30), RANGE);
	ERR(INV(cap_copy(ROOT, L4_RIGHT_READ), L4_CNODE_DELETE, s + 5), RIGHTS);
	ERR(INV(cap_copy(ROOT, L4_RIGHT_READ), L4_CNODE_REVOKE, s + 5), RIGHTS);
	FULL(s + 5);
}

TEST(cnode_move)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), s = slots_new(4), f = obj_new(L4_TYPE_FRAME, 12);
	u64 cnode = obj_new(L4_TYPE_CNODE, 9);

	ERR(MINT(s, n, 15, 4), OK);
	ERR(MINT(s + 1, s, 15, 0), OK);
	ERR(MOVE(s + 2, s), OK);
	EMPTY(s);
	ERR(SYS(L4_SYS_SIGNAL, s + 2, 0), OK);
	EQ(SYS(L4_SYS_POLL, n, 0).badge, 4);
	ERR(slot_revoke(s + 2), OK); /* derivation moved along */
	EMPTY(s + 1);
	FULL(s + 2);
	ERR(MOVE(s + 2, s + 2), OCCUPIED);
	ERR(MOVE(s, s + 1), CAP);
	ERR(MOVE(n, s + 2), OCCUPIED);
	ERR(MOVE(0, n), RANGE);
	ERR(MOVE(s, 0), RANGE);
	ERR(INV(cnode, L4_CNODE_MOVE, 3, ROOT, s + 2), OK);
	EMPTY(s + 2);
	ERR(slot_revoke(n), OK);
	ERR(INV(cnode, L4_CNODE_DELETE, 3), CAP);
	/* a mapped Frame keeps its mapping, an Untyped may move too */
	EQ(frame_map(f, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK);
	*(volatile u64 *)TEST_VADDR = 9;
	ERR(MOVE(s + 3, f), OK);
	EQ(*(volatile u64 *)TEST_VADDR, 9);
	ERR(INV(s + 3, L4_FRAME_UNMAP), OK);
	ERR(INV(s + 3, L4_FRAME_UNMAP), UNMAPPED);
	f = obj_new(L4_TYPE_UNTYPED, 13);
	ERR(retype(f, L4_TYPE_FRAME, 12, s, 1), OK);
	ERR(MOVE(s + 1, f), OK);
	EQ(INV(s + 1, L4_UNTYPED_INFO).m[2], 4096);
	ERR(slot_revoke(s + 1), OK);
	EMPTY(s);
	EQ(INV(s + 1, L4_UNTYPED_INFO).m[2], 8192);
}

TEST(cnode_delete_of_own_things_is_busy)
{
	ERR(slot_delete(L4_ROOT_SLOT_THREAD), BUSY);
	ERR(slot_delete(L4_ROOT_SLOT_VSPACE), BUSY);
	ERR(slot_delete(L4_ROOT_SLOT_CNODE), BUSY);
	FULL(L4_ROOT_SLOT_THREAD);
	FULL(L4_ROOT_SLOT_VSPACE);
	FULL(L4_ROOT_SLOT_CNODE);
	/* allowed while a second capability exists */
	cap_copy(L4_ROOT_SLOT_THREAD, 15);
	ERR(INV(ROOT, L4_CNODE_MOVE, 400, ROOT, L4_ROOT_SLOT_THREAD), OK);
	ERR(INV(ROOT, L4_CNODE_MOVE, L4_ROOT_SLOT_THREAD, ROOT, 400), OK);
}

/* Deleting a CNode deletes its capabilities, also if it holds itself, or two hold each other. */
TEST(cnode_destroyed_with_contents)
{
	u64 a = obj_new(L4_TYPE_CNODE, 10), b = obj_new(L4_TYPE_CNODE, 10), n = obj_new(L4_TYPE_NOTIFICATION, 0);
	u64 u = obj_new(L4_TYPE_UNTYPED, 16), derived = slot_new();

	ERR(INV(a, L4_CNODE_MINT, 1, ROOT, n, 15, 1), OK);
	ERR(INV(ROOT, L4_CNODE_MINT, derived, a, 1, 15, 0), OK);
	ERR(INV(a, L4_CNODE_COPY, 2, ROOT, b, 15), OK);
	ERR(INV(b, L4_CNODE_COPY, 2, ROOT, a, 15), OK);
	ERR(INV(a, L4_CNODE_COPY, 3, ROOT, a, 15), OK);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_FRAME, 12, b, 4, 8), OK);
	ERR(INV(b, L4_CNODE_MOVE, 14, ROOT, u), OK);
	ERR(slot_delete(b), OK);
	ERR(slot_delete(a), OK);
	/* two that hold each other stay until their memory is revoked, which the harness does */
	FULL(n);
	FULL(derived);
}

/* REVOKE of wide, deep and long trees is one call. */
TEST(cnode_revoke_big_trees)
{
	u64 n = obj_new(L4_TYPE_NOTIFICATION, 0), s = slots_new(2000), u = obj_new(L4_TYPE_UNTYPED, 24), count = 2000;

	for (u64 i = 0; i < count; i++)
		MUST(MINT(s + i, i ? s + i - 1 : n, 15, 0));
	ERR(slot_revoke(n), OK);
	for (u64 i = 0; i < count; i++)
		EMPTY(s + i);
	for (u64 i = 0; i < count; i++)
		MUST(MINT(s + i, i ? s + (i - 1) / 4 : n, 15, 0));
	ERR(slot_revoke(s + 1), OK);
	ERR(slot_revoke(n), OK);
	for (u64 i = 0; i < count; i++)
		EMPTY(s + i);
	/* Untyped in Untyped, each with CNodes full of Frames */
	for (u64 i = 0; i < 64; i++) {
		MUST(retype(u, L4_TYPE_UNTYPED, 18, s + 3 * i, 1));
		MUST(retype(s + 3 * i, L4_TYPE_CNODE, 12, s + 3 * i + 1, 1));
		MUST(INV(s + 3 * i, L4_UNTYPED_RETYPE, L4_TYPE_FRAME, 12, s + 3 * i + 1, 1, 62));
	}
	EQ(INV(u, L4_UNTYPED_INFO).m[2], 0);
	ERR(slot_revoke(u), OK);
	EQ(INV(u, L4_UNTYPED_INFO).m[2], 1UL << 24);
	for (u64 i = 0; i < 192; i++)
		EMPTY(s + i);
}

TEST(cnode_slot_zero_and_large_indices_are_no_capabilities)
{
	ERR(INV(0, 0), CAP);
	ERR(INV(~0UL, 0), CAP);
	ERR(INV(1UL << L4_ROOT_CNODE_BITS, 0), CAP);
	ERR(INV((1UL << 32) + L4_ROOT_SLOT_CNODE, 0), CAP);
}
