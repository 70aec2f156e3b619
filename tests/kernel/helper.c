/* SPDX-License-Identifier: GPL-2.0-only */
/* Helper threads in this VSpace or in a fork of it. */
#include "harness.h"

#define IMAGE_VADDR 0x400000UL /* where this program is linked; it fits into one large page */

u64 parent_endpoint;
u64 fork_bits, fork_base, fork_mode, helper_cpu;
static u64 silent_endpoint; /* an Endpoint to which nobody sends; helpers that are done wait there */
static u64 fault_reply;
static struct helper helpers[HELPERS];
static u8 stacks[HELPERS][HELPER_STACK] __attribute__((aligned(4096)));
static u64 helper_count;

extern u8 _end[]; /* of this program, from the linker script */

void helper_reset(void)
{
	helper_count = 0;
	fork_bits = 18;
	helper_cpu = 0;
	fork_base = 0;
	parent_endpoint = obj_new(L4_TYPE_ENDPOINT, 0);
	silent_endpoint = obj_new(L4_TYPE_ENDPOINT, 0);
	fault_reply = obj_new(L4_TYPE_REPLY, 0);
}

/* Makes a VSpace with a copy of this program as it is now, and the shared page. */
u64 vspace_fork(void)
{
	u64 vspace = obj_new(L4_TYPE_VSPACE, fork_bits);
	u64 frame = obj_new(L4_TYPE_FRAME, L4_LARGE_PAGE_BITS);
	u64 child = cap_copy(frame, L4_RIGHT_ALL);
	u64 page = slot_new();

	EQ(frame_map(frame, COPY_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK);
	memcpy((void *)COPY_VADDR, (void *)IMAGE_VADDR, (u64)_end - IMAGE_VADDR);
	MUST(INV(frame, L4_FRAME_UNMAP));
	if (fork_base) {
		need_guest_mode(fork_mode);
		MUST(INV(vspace, L4_VSPACE_GUEST, fork_mode));
	}
	MUST(INV(vspace, L4_VSPACE_MAP, child, fork_base + IMAGE_VADDR, L4_RIGHT_ALL));
	/* The shared page's Frame is the first object that run_body makes after the helpers' three. */
	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_COPY, page, L4_ROOT_SLOT_CNODE, fault_reply + 1,
	         L4_RIGHT_READ | L4_RIGHT_WRITE));
	MUST(INV(vspace, L4_VSPACE_MAP, page, fork_base + SHARED_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE));
	return vspace;
}

void helper_entry(struct helper *self)
{
	if (self->forked) {
		failures = 0;
		shared = (volatile u64 *)((u64)shared + fork_base);
		self->run = (void (*)(struct helper *))((u64)self->run + fork_base);
	}
	self->run(self);
	helper_exit(self);
}

u64 helper_stack(const struct helper *h) { return (u64)stacks[h->index + 1]; }

void helper_exit(struct helper *self)
{
	SYS(L4_SYS_SEND, parent_endpoint, TAG(LABEL_DONE, 2, 0), self->index, self->forked ? failures : 0);
	/* A helper without that capability ends by a fault. */
	for (;;)
		if (recv(silent_endpoint, 0).error)
			arch_try_trap();
}

/* Makes a thread in vspace with its UTCB at utcb, ready to run; its faults go to parent_endpoint. */
struct helper *helper_make_in(u64 vspace, u64 utcb, void (*run)(struct helper *), u64 arg, u64 priority)
{
	struct helper *h = &helpers[helper_count];
	u64 fault, base = vspace != L4_ROOT_SLOT_VSPACE ? fork_base : 0;

	CHECK(helper_count < HELPERS);
	*h = (struct helper){ .index = helper_count++, .run = run, .arg = { arg }, .vspace = vspace };
	h->utcb = (struct l4_utcb *)utcb;
	h->forked = vspace != L4_ROOT_SLOT_VSPACE;
	h->thread = obj_new(L4_TYPE_THREAD, 0);
	h->sched = sched_new(10000, 10000);
	if (helper_cpu)
		MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, h->sched, 10000, 10000, helper_cpu));
	fault = cap_mint(parent_endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, h->index + 1);
	MUST(INV(h->thread, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, vspace, utcb, fault));
	MUST(INV(h->thread, L4_THREAD_SET_SCHED, h->sched, priority, priority));
	arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], (char *)helper_entry + base, (u64)h + base,
	                helper_stack(h) + base);
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	return h;
}

struct helper *helper_make(void (*run)(struct helper *), u64 arg, u64 priority)
{
	return helper_make_in(L4_ROOT_SLOT_VSPACE, UTCB_VADDR + helper_count * L4_PAGE_SIZE, run, arg, priority);
}

/* Forks after the helper is filled in, so that the copy has it. */
struct helper *helper_fork(void (*run)(struct helper *), u64 arg, u64 priority)
{
	struct helper *h = &helpers[helper_count];
	u64 next = helper_count + 1;

	*h = (struct helper){ .index = helper_count, .run = run, .arg = { arg }, .forked = 1 };
	h->utcb = (struct l4_utcb *)(fork_base + UTCB_VADDR + helper_count * L4_PAGE_SIZE);
	helper_make_in(vspace_fork(), (u64)h->utcb, run, arg, priority);
	helper_count = next;
	return h;
}

/* Gives back the place and the stack of the last helper, which has ended. */
void helper_forget(void)
{
	struct helper *h = &helpers[--helper_count];

	slot_delete(h->thread);
}

void helper_start(struct helper *h) { MUST(INV(h->thread, L4_THREAD_RESUME)); }

/* Receives at parent_endpoint until h reports that it is done, or faults, which fails the test. */
void helper_join(struct helper *h)
{
	for (;;) {
		struct sys r;

		if (h->done)
			return;
		r = recv(parent_endpoint, fault_reply);
		MUST(r);
		if (LABEL(r.tag) == LABEL_DONE) {
			helpers[r.m[0]].done = 1;
			failures += r.m[1];
		} else {
			print("# thread %lu: fault %lu at 0x%lx, 0x%lx, ip 0x%lx\n", r.badge - 1, LABEL(r.tag), r.m[0],
			      r.m[1], r.m[2]);
			failures++;
			helpers[r.badge - 1].done = 1;
		}
	}
}

/* Receives until h is done, and ignores faults of other helpers. */
void helper_join_quietly(struct helper *h)
{
	while (!h->done) {
		struct sys r = recv(parent_endpoint, 0);

		MUST(r);
		if (LABEL(r.tag) == LABEL_DONE)
			helpers[r.m[0]].done = 1;
	}
}

static void nothing(struct helper *self) {}

void helper_settle(void)
{
	struct helper *last = helper_make(nothing, 0, 1);

	helper_start(last);
	helper_join(last);
	helper_forget();
}

struct sys helper_fault(struct helper *h)
{
	struct sys r = recv(parent_endpoint, fault_reply);

	MUST(r);
	EQ(r.badge, h->index + 1);
	CHECK(LABEL(r.tag) != LABEL_DONE);
	return r;
}

void helper_answer(u64 tag) { ERR(SYS(L4_SYS_SEND, fault_reply, tag), OK); }
