/* SPDX-License-Identifier: GPL-2.0-only */
/* Untyped: RETYPE and INFO. */
#include "harness.h"

static u64 free_bytes(u64 untyped) { return INV(untyped, L4_UNTYPED_INFO).m[2]; }

TEST(untyped_info)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 14), weak_slot = slot_new(), frame = slot_new();
	struct sys r = INV(u, L4_UNTYPED_INFO);

	ERR(r, OK);
	EQ(r.m[0] & 0x3fff, 0);
	EQ(r.m[1], 14);
	EQ(r.m[2], 1UL << 14);
	EQ(r.m[3], L4_MEM_RAM);
	ERR(retype(u, L4_TYPE_FRAME, L4_PAGE_BITS, frame, 1), OK);
	EQ(free_bytes(u), (1UL << 14) - L4_PAGE_SIZE);
	EQ(INV(frame, L4_FRAME_INFO).m[0], r.m[0]);
	ERR(INV(u, 2), OP);
	ERR(INV(u, ~0UL), OP);
	ERR(INV(weak_slot, L4_UNTYPED_INFO), CAP);
}

TEST(untyped_boot_info_agrees)
{
	u64 last_kind = 0, ram = 0;

	CHECK(boot_info->untyped_count > 0 && boot_info->untyped_count <= L4_BOOT_UNTYPED_MAX);
	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *u = &boot_info->untyped[i];
		struct sys r = INV(L4_ROOT_SLOT_UNTYPED + i, L4_UNTYPED_INFO);

		ERR(r, OK);
		EQ(r.m[0], u->paddr);
		EQ(r.m[1], u->size_bits);
		EQ(r.m[3], u->kind);
		CHECK(u->kind >= last_kind);
		CHECK(!(u->paddr & ((1UL << u->size_bits) - 1)));
		if (i && u->kind == last_kind)
			CHECK(u->paddr > boot_info->untyped[i - 1].paddr);
		for (u32 k = 0; k < i; k++) {
			const struct l4_boot_untyped *o = &boot_info->untyped[k];

			CHECK(u->paddr + (1UL << u->size_bits) <= o->paddr ||
			      o->paddr + (1UL << o->size_bits) <= u->paddr);
		}
		last_kind = u->kind;
		if (u->kind == L4_MEM_RAM)
			ram += 1UL << u->size_bits;
	}
	CHECK(ram > 0 && ram <= boot_info->ram_size);
	ERR(INV(L4_ROOT_SLOT_UNTYPED + boot_info->untyped_count, L4_UNTYPED_INFO), CAP);
}

static const struct {
	u64 type, bits, size_bits;
} kinds[] = {
	{ L4_TYPE_UNTYPED, 12, 12 },
	{ L4_TYPE_CNODE, 10, 10 },
	{ L4_TYPE_THREAD, 0, L4_THREAD_BITS },
	{ L4_TYPE_SCHED_CONTEXT, 0, L4_SCHED_CONTEXT_BITS },
	{ L4_TYPE_ENDPOINT, 0, L4_ENDPOINT_BITS },
	{ L4_TYPE_REPLY, 0, L4_REPLY_BITS },
	{ L4_TYPE_NOTIFICATION, 0, L4_NOTIFICATION_BITS },
	{ L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS, L4_VSPACE_MIN_BITS },
	{ L4_TYPE_FRAME, 13, 13 },
	{ L4_TYPE_VCPU, 0, L4_VCPU_BITS },
	{ L4_TYPE_GUESTSPACE, 0, L4_GUESTSPACE_BITS },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

TEST(untyped_retype_makes_every_type)
{
	for (u64 i = 0; i < KINDS; i++) {
		u64 u = obj_new(L4_TYPE_UNTYPED, 18), slot = slots_new(3), size = 1UL << kinds[i].size_bits;

		ERR(retype(u, kinds[i].type, kinds[i].bits, slot, 3), OK);
		EQ(free_bytes(u), (1UL << 18) - 3 * size);
		for (u64 k = 0; k < 3; k++)
			CHECK(slot_type_error(slot + k) != L4_ERR_CAP);
		ERR(slot_revoke(u), OK);
		EQ(free_bytes(u), 1UL << 18);
		for (u64 k = 0; k < 3; k++)
			EQ(slot_type_error(slot + k), L4_ERR_CAP);
		/* exactly as many as fit */
		if (kinds[i].size_bits >= 12) {
			u64 fit = 1UL << (18 - kinds[i].size_bits), many = slots_new(fit + 1);

			ERR(retype(u, kinds[i].type, kinds[i].bits, many, fit + 1), MEMORY);
			EQ(free_bytes(u), 1UL << 18);
			ERR(retype(u, kinds[i].type, kinds[i].bits, many, fit), OK);
			EQ(free_bytes(u), 0);
			ERR(retype(u, kinds[i].type, kinds[i].bits, many + fit, 1), MEMORY);
		}
		ERR(slot_delete(u), OK);
	}
}

TEST(untyped_retype_errors_change_nothing)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 20), slot = slots_new(4), taken = obj_new(L4_TYPE_ENDPOINT, 0);
	u64 cnode = obj_new(L4_TYPE_CNODE, 9), read_only = cap_copy(cnode, L4_RIGHT_READ);
	u64 whole = free_bytes(u);

	for (u64 i = 0; i < KINDS; i++) {
		int sized = kinds[i].bits != 0;

		if (sized) {
			ERR(retype(u, kinds[i].type, 5, slot, 1), RANGE);
			ERR(retype(u, kinds[i].type, 64, slot, 1), RANGE);
			ERR(retype(u, kinds[i].type, ~0UL, slot, 1), RANGE);
		} else {
			ERR(retype(u, kinds[i].type, 1, slot, 1), ARG);
		}
	}
	ERR(retype(u, L4_TYPE_NULL, 0, slot, 1), ARG);
	ERR(retype(u, L4_TYPE_IRQ_HANDLER, 0, slot, 1), ARG);
	ERR(retype(u, L4_TYPE_IOPORT, 0, slot, 1), ARG);
	ERR(retype(u, L4_TYPE_CONTROL, 0, slot, 1), ARG);
	ERR(retype(u, 15, 0, slot, 1), ARG);
	ERR(retype(u, ~0UL, 0, slot, 1), ARG);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, slot, 0), ARG);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, 0, 1), RANGE);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, 1UL << L4_ROOT_CNODE_BITS, 1), RANGE);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, (1UL << L4_ROOT_CNODE_BITS) - 1, 2), RANGE);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, slot, ~0UL), RANGE);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, ~0UL, 2), RANGE);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, taken, 1), OCCUPIED);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, taken - 1, 2), OCCUPIED);
	ERR(retype(u, L4_TYPE_FRAME, 21, slot, 1), MEMORY);
	ERR(retype(u, L4_TYPE_FRAME, L4_FRAME_MAX_BITS + 1, slot, 1), RANGE);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, 4000, slot, 1), CAP);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, taken, slot, 1), TYPE);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, read_only, 1, 1), RIGHTS);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, cnode, 8, 1), RANGE);
	EQ(free_bytes(u), whole);
	for (u64 k = 0; k < 4; k++)
		EQ(slot_type_error(slot + k), L4_ERR_CAP);
	/* into another CNode */
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, cnode, 7, 1), OK);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, cnode, 7, 1), OCCUPIED);
}

/* That a call which failed found slots empty says nothing of those of the next call. */
TEST(untyped_slots_are_looked_at_by_each_retype)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 20), one = obj_new(L4_TYPE_CNODE, 9), other = obj_new(L4_TYPE_CNODE, 9);

	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, other, 6, 1), OK);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_FRAME, 21, one, 5, 2), MEMORY);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, other, 5, 2), OCCUPIED);
	ERR(INV(u, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, other, 5, 1), OK);
}

TEST(untyped_memory_is_cleared)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 21), frame = slot_new();
	volatile u64 *view = (volatile u64 *)TEST_VADDR;

	for (int round = 0; round < 3; round++) {
		u64 used = 0;

		ERR(retype(u, L4_TYPE_FRAME, 20, frame, 1), OK);
		EQ(frame_map(frame, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK);
		for (u64 i = 0; i < (1UL << 20) / 8; i++) {
			used |= view[i];
			view[i] = ~0UL;
		}
		EQ(used, 0);
		ERR(slot_revoke(u), OK);
	}
}

/* When its turn comes after the caller has begun, which is in the middle of the call, unless the interrupt comes late. */
static void make_frame_in_gap(struct helper *self)
{
	while (!shared[0])
		;
	if (shared[1])
		return;
	ERR(retype(self->arg[0], L4_TYPE_FRAME, L4_PAGE_BITS, self->arg[1], 1), OK);
	shared[2] = 1;
}

/* Memory of u behind its first page is not clear. Make a large object, and meanwhile a page in the gap before it. */
static void fill_gap(u64 u, u64 slot)
{
	struct helper *h;

	shared[0] = shared[1] = 0;
	MUST(retype(u, L4_TYPE_FRAME, L4_PAGE_BITS, slot, 1));
	h = helper_make(make_frame_in_gap, u, 255);
	h->arg[1] = slot + 1;
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, sched_new(100, 300), 255, 255));
	helper_start(h);
	shared[0] = 1;
	ERR(retype(u, L4_TYPE_FRAME, 22, slot + 2, 1), OK);
	shared[1] = 1;
	helper_join(h);
	helper_forget();
}

/* A large object leaves a gap before it. While its memory is cleared, another call may make a small one there. */
TEST(untyped_gap_is_cleared)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 23), slot = slots_new(3);
	volatile u64 *view = (volatile u64 *)TEST_VADDR;

	/* Where time is counted in instructions, the first round is the last. */
	for (int round = 0; !shared[2] && round < 100; round++) {
		MUST(retype(u, L4_TYPE_FRAME, L4_PAGE_BITS, slot, 2));
		if (!EQ(frame_map(slot + 1, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK))
			return;
		view[1] = ~0UL;
		MUST(slot_revoke(u));
		fill_gap(u, slot);
		if (!shared[2])
			MUST(slot_revoke(u));
	}
	if (EQ(shared[2], 1) && EQ(frame_map(slot + 1, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK))
		EQ(view[1], 0);
}

TEST(untyped_alignment)
{
	u64 u = obj_new(L4_TYPE_UNTYPED, 16), slot = slots_new(4);

	ERR(retype(u, L4_TYPE_ENDPOINT, 0, slot, 1), OK);
	ERR(retype(u, L4_TYPE_FRAME, 14, slot + 1, 1), OK);
	EQ(INV(slot + 1, L4_FRAME_INFO).m[0], INV(u, L4_UNTYPED_INFO).m[0] + (1UL << 14));
	EQ(free_bytes(u), 1UL << 15);
	/* a small object still fits behind a large one */
	ERR(retype(u, L4_TYPE_FRAME, 15, slot + 2, 1), OK);
	EQ(free_bytes(u), 0);
	ERR(retype(u, L4_TYPE_ENDPOINT, 0, slot + 3, 1), MEMORY);
}

TEST(untyped_device_kinds_make_frames_only)
{
	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *b = &boot_info->untyped[i];
		u64 u = L4_ROOT_SLOT_UNTYPED + i, slot = slot_new();

		if (b->kind == L4_MEM_RAM)
			continue;
		ERR(retype(u, L4_TYPE_ENDPOINT, 0, slot, 1), ARG);
		ERR(retype(u, L4_TYPE_CNODE, 12, slot, 1), ARG);
		ERR(retype(u, L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS, slot, 1), ARG);
		if (b->kind == L4_MEM_LOG) {
			volatile struct l4_log_header *log = (volatile void *)TEST_VADDR;
			u64 frame = slot_new(), before;

			ERR(retype(u, L4_TYPE_FRAME, L4_PAGE_BITS, frame, 1), OK);
			CHECK(frame_map(frame, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE) != L4_ERR_OK);
			EQ(frame_map(frame, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
			before = log->head;
			CHECK(before > 0);
			print("# log\n");
			EQ(log->head, before + 6);
			ERR(slot_revoke(u), OK);
		}
		if (slot > 700)
			break;
	}
}
