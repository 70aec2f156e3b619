/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Executes the cases that tests/system/test_model.py makes, and prints each result, which is compared with the model.
 *
 * The blob "steps" of the boot image holds system calls. The first of them are the root's, which include
 * directives of this program; the others are scripts of threads in this VSpace. The root has the highest
 * priority; SETTLE lets the others run until none of them can.
 */
#include "harness.h"

#define IMAGE_VADDR  0x1000000000UL
#define THREADS      8
#define STACK        4096
#define TRACE_MAX    8192
#define UNTYPED_SLOT 1000 /* all objects of a case come from it */
#define UNTYPED_BITS 20

/* Directives, in place of a system call's number. */
enum { SCRIPT = 1000, START, SETTLE, END };

struct step {
	u64 number, cap, tag, reply, words[6];
};

struct steps {
	u64 root_steps, reserved[9];
	struct step step[];
};

static const struct steps *steps;
static struct {
	u64 slot, at, end;
} script[THREADS];
static struct {
	u64 thread, step;
	struct sys result;
} trace[TRACE_MAX];
static volatile u64 traced;
static u8 stacks[THREADS][STACK] __attribute__((aligned(4096)));
static u64 go, settled;

static void find_steps(void)
{
	const struct l4_image_header *header = (void *)(IMAGE_VADDR + boot_info->image_paddr);
	const struct l4_image_segment *segment = (void *)(header + 1);

	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *u = &boot_info->untyped[i];
		u64 frame = slot_new();

		if (u->kind != L4_MEM_IMAGE)
			continue;
		MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, u->size_bits, frame, 1));
		EQ(frame_map(frame, IMAGE_VADDR + u->paddr, L4_RIGHT_READ), L4_ERR_OK);
	}
	for (u32 i = 0; i < header->segment_count; i++)
		if (!memcmp(segment[i].program, "steps", 6))
			steps = (void *)((u64)header + segment[i].offset);
	CHECK(steps);
}

static void execute(u64 thread, u64 index)
{
	const struct step *s = &steps->step[index];
	struct sys result = sys(s->number, s->cap, s->tag, s->words, s->reply);

	if (traced == TRACE_MAX)
		return;
	trace[traced].thread = thread;
	trace[traced].step = index;
	trace[traced++].result = result;
}

static void thread_main(u64 index)
{
	for (;;) {
		if (script[index].at < script[index].end)
			execute(index, script[index].at++);
		else
			INV(script[index].slot, L4_THREAD_SUSPEND);
	}
}

/* Has the lowest priority, so it runs when no other thread can. */
static void tells_that_all_have_run(struct helper *self)
{
	for (;;) {
		SYS(L4_SYS_WAIT, go, 0);
		SYS(L4_SYS_SIGNAL, settled, 0);
	}
}

static void start(u64 index, u64 slot)
{
	script[index].slot = slot;
	MUST(INV(slot, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE,
	         UTCB_VADDR + (HELPERS + index) * L4_PAGE_SIZE));
	arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], thread_main, index, (u64)stacks[index + 1]);
	MUST(INV(slot, L4_THREAD_WRITE_REGS));
}

static void end_case(void)
{
	for (u64 i = 0; i < traced; i++)
		print("# m %lu %lu %lu %lu %lu\n", trace[i].thread, trace[i].step, trace[i].result.error,
		      trace[i].result.badge, trace[i].result.m[0]);
	CHECK(traced < TRACE_MAX);
	traced = 0;
	memset(script, 0, sizeof(script));
	MUST(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_REVOKE, UNTYPED_SLOT));
	EQ(INV(UNTYPED_SLOT, L4_UNTYPED_INFO).m[2], 1UL << UNTYPED_BITS);
}

static void direct(const struct step *s)
{
	switch (s->number) {
	case SCRIPT:
		script[s->cap].at = s->words[0];
		script[s->cap].end = s->words[0] + s->words[1];
		break;
	case START:
		start(s->words[0], s->cap);
		break;
	case SETTLE:
		MUST(SYS(L4_SYS_SIGNAL, go, 0));
		MUST(SYS(L4_SYS_WAIT, settled, 0));
		break;
	default:
		end_case();
	}
}

TEST(model)
{
	find_steps();
	MUST(retype(test_untyped, L4_TYPE_UNTYPED, UNTYPED_BITS, UNTYPED_SLOT, 1));
	go = obj_new(L4_TYPE_NOTIFICATION, 0);
	settled = obj_new(L4_TYPE_NOTIFICATION, 0);
	helper_start(helper_make(tells_that_all_have_run, 0, 0));
	for (u64 i = 0; i < steps->root_steps && !failures; i++) {
		if (steps->step[i].number >= SCRIPT)
			direct(&steps->step[i]);
		else
			execute(THREADS, i);
	}
}
