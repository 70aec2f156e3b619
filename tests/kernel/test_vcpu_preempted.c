/* SPDX-License-Identifier: GPL-2.0-only */
/* VCPU_PREEMPTED: a word of the guest's memory, in which its other vCPUs see that this one could run and does not. */
#include "guest.h"

#define WORD_GPA  GUEST_RAM /* in a page of its own, which the test maps at TEST_VADDR */
#define word      (*(volatile u32 *)TEST_VADDR)
#define NEW_VALUE 7

static u64 event;

enum seen { SEEN_TAKEN = 3, SEEN_SUSPENDED, SEEN_RESUMED, SEEN_UNTOLD, SEEN_KEPT, SEEN_LOST }; /* in shared[] */

static struct sys tell(u64 gpa) { return SYS(L4_SYS_VCPU_PREEMPTED, 0, gpa); }

static void wait_for_guest(void) { ERR(SYS(L4_SYS_WAIT, event, 0), OK); }

/* On the guest's CPU, with a higher priority: when it is signalled, the guest could run and does not. */
static void takes_the_cpu(struct helper *self)
{
	wait_for_guest();
	shared[SEEN_TAKEN] = word;
	MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
	shared[SEEN_SUSPENDED] = word;
	MUST(INV(guest.helper->thread, L4_THREAD_RESUME));
	shared[SEEN_RESUMED] = word;
	wait_for_guest();
	shared[SEEN_UNTOLD] = word;
	wait_for_guest();
	EQ(word, 1);
	ERR(slot_delete(self->arg[2]), OK);
	wait_for_guest();
	shared[SEEN_KEPT] = word;
	ERR(slot_delete(self->arg[1]), OK);
	word = NEW_VALUE;
	wait_for_guest();
	shared[SEEN_LOST] = word;
}

static u64 word_in_user_mode(void)
{
	u64 value = 0;

	EQ(user_load(guest.space[0], DATA_VADDR, &value), 1);
	return (u32)value;
}

static void tells(struct helper *self)
{
	table_map(user_root, DATA_VADDR, WORD_GPA, LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY);
	ERR(tell(WORD_GPA + 2), ALIGN);
	ERR(tell(WORD_GPA + L4_PAGE_SIZE), RANGE);
	ERR(tell(ALL_ONES - 3), RANGE);
	EQ(word_in_user_mode(), NEW_VALUE);
	ERR(tell(WORD_GPA), OK);
	EQ(word_in_user_mode(), 0);
	ERR(SYS(L4_SYS_SIGNAL, event, 0), OK);
	EQ(word_in_user_mode(), 0);
	/* A call that fails leaves it as it was, and one with all ones ends it. */
	ERR(tell(WORD_GPA + 1), ALIGN);
	ERR(tell(ALL_ONES), OK);
	ERR(SYS(L4_SYS_SIGNAL, event, 0), OK);
	ERR(tell(WORD_GPA), OK);
	for (u32 k = 0; k < 3; k++) /* before another region goes, before its own, and without it */
		ERR(SYS(L4_SYS_SIGNAL, event, 0), OK);
	ERR(tell(WORD_GPA), RANGE);
}

static void make_page(struct helper **taker)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS), attached = cap_copy(page, L4_RIGHT_ALL);
	u64 other = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);

	event = obj_new(L4_TYPE_NOTIFICATION, 0);
	EQ(frame_map(page, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE), L4_ERR_OK);
	word = NEW_VALUE;
	helper_cpu = 1;
	guest_make(tells);
	MUST(INV(guest.helper->vspace, L4_VSPACE_ATTACH, attached, WORD_GPA));
	MUST(INV(guest.helper->vspace, L4_VSPACE_ATTACH, other, WORD_GPA + 2 * L4_PAGE_SIZE));
	helper_cpu = 1;
	*taker = helper_make(takes_the_cpu, 0, L4_ROOT_PRIORITY);
	helper_cpu = 0;
	(*taker)->arg[1] = attached;
	(*taker)->arg[2] = other;
}

TEST(vcpu_tells_that_it_is_preempted)
{
	struct helper *taker;

	need_cpus(2);
	make_page(&taker);
	helper_start(taker);
	helper_start(guest.helper);
	helper_join(guest.helper);
	helper_join(taker);
	EQ(shared[SEEN_TAKEN], 1);
	EQ(shared[SEEN_SUSPENDED], 0);
	EQ(shared[SEEN_RESUMED], 1);
	EQ(shared[SEEN_UNTOLD], 0);
	EQ(shared[SEEN_KEPT], 1);
	EQ(shared[SEEN_LOST], NEW_VALUE);
}

/* With one CPU nobody could see it: it is never 1. */
static void tells_on_one_cpu(struct helper *self)
{
	u64 page = page_new();

	*(u32 *)gp(page) = NEW_VALUE;
	ERR(tell(page), OK);
	EQ(*(u32 *)gp(page), 0);
	ERR(SYS(L4_SYS_YIELD, 0, 0), OK);
	EQ(*(u32 *)gp(page), 0);
	ERR(tell(GUEST_RAM - 2), ALIGN);
	ERR(tell(GUEST_RAM), RANGE);
	ERR(tell(ALL_ONES), OK);
}

GUEST_SCENE(vcpu_tells_nothing_on_one_cpu)
{
	guest_make(tells_on_one_cpu);
	guest_run();
}
