/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attacks memory that L4 shares with a guest: while the guest enters and leaves user mode in every way, a program of
 * the host (tests/system/attack/writer.c) writes random values into the page at full rate. It has the machine's RAM
 * mapped, and stands for a device that the guest controls, or for another CPU. L4 must not stop, whatever is written.
 *
 * Protocol: a test writes MARK into the page and names the kind of page in a line of the log. The writer finds the
 * mark, clears half of it and writes until the test clears the other half, because the memory will be reused then; it
 * answers that as well. A guest that cannot go on is started again.
 */
#include "guest.h"

#define MARK 0xa77ac4ed00000000UL /* even: as an entry of a table it is invalid */
#define GONE (MARK | 0xfe)
#define S0   guest.space[0]

enum kind { FRAME, VCPU_PAGE, TABLE, UTCB, KINDS };
static const char *const names[] = { "frame", "vcpu-page", "table", "utcb" };

/* Words of the page that guest and test share. */
enum word { STARTED, WRITTEN, STOP, STOPPED, ROUNDS, RESTARTS, EXITS, LAST = EXITS + 8 };

#define MOST_ROUNDS   10000UL
#define MOST_RESTARTS 200UL
#define LEAST_EXITS   50UL

static enum kind attacked;

static volatile u64 *mark_of(struct helper *self)
{
	void *const pages[] = { gp(FRAME_END_GPA - L4_PAGE_SIZE), (void *)L4_GUEST_VCPU_VADDR, gp(LARGE_GPA),
	                        self->utcb };

	return (volatile u64 *)((u8 *)pages[attacked] + (attacked == FRAME ? 0 : L4_PAGE_SIZE - 16));
}

static void publish(volatile u64 *mark)
{
	mark[1] = MARK | (u64)attacked << 8;
	mark[0] = MARK;
	shared[STARTED] = 1;
	while (mark[0] == MARK)
		SYS(L4_SYS_YIELD, 0, 0);
	shared[WRITTEN] = 1;
}

static void withdraw(volatile u64 *mark)
{
	mark[1] = 0;
	while (mark[0] != GONE)
		SYS(L4_SYS_YIELD, 0, 0);
	shared[STOPPED] = 1;
}

/* Enters user mode once, and leaves it. */
static void enter_once(u64 round)
{
	static const u64 addresses[] = { CODE_VADDR, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE, ALL_ONES };
	u64 reason;

	switch (round % 4) {
	case 0:
		user_call(PROGRAM(load), addresses[round / 4 % 4], 0);
		break;
	case 1:
		user_call(PROGRAM(store), addresses[round / 4 % 4], round);
		break;
	case 2:
		user_call(PROGRAM(trap), 0, 0);
		break;
	default:
		user_call(PROGRAM(spin), 0, 0);
		SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 50000);
	}
	vcpu->irq_enabled = 0;
	reason = arch_vcpu_enter((struct l4_vcpu_page *)vcpu, S0);
	shared[EXITS + reason % 8]++;
	vcpu->pending = 0;
	vcpu->events.word[0] = 0;
}

/* Upcalls, and the calls of a guest kernel. */
static void calls(u64 round)
{
	u64 value;

	arch_try_trap();
	arch_try_load(NO_VADDR, &value);
	arch_fpu_fill(round);
	flush(S0, round % 4, round % 8 ? 0 : user_root, ALL_ONES);
	SYS(L4_SYS_VCPU_FLUSH, 0, 0, DATA_VADDR, DATA_VADDR + 0x10000);
	vcpu->hint_space = S0;
	vcpu->hint_addr = DATA_VADDR;
	vcpu->hint_count = 8;
	flush(S0, L4_FLUSH_ROOT, user_root, 0);
	SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 50000);
	SYS(L4_SYS_VCPU_WAIT, 0, 0);
	vcpu->irq_enabled = 1;
	SYS(L4_SYS_VCPU_TIMER, 0, l4_counter());
	vcpu->irq_enabled = 0;
}

static void victim(struct helper *self)
{
	/* The table that is attacked: its entries are of large pages or name last-level tables. */
	*table_entry(user_root, DATA_VADDR, 2) = LARGE_GPA | L4_PTE_VALID;
	if (!shared[STARTED])
		table_map(user_root, DATA_VADDR, page_new(), LEAF_RW);
	if (shared[STOP])
		withdraw(mark_of(self));
	else if (!shared[STARTED])
		publish(mark_of(self));
	for (;;) {
		u64 round = shared[ROUNDS]++;

		enter_once(round);
		if (round % 16 == 15)
			calls(round / 16);
	}
}

/* Under an attack on a register frame every exit reason must occur often; other attacks may stop the guest before. */
static int enough(void)
{
	if (attacked != FRAME)
		return shared[ROUNDS] >= MOST_ROUNDS || shared[RESTARTS] >= MOST_RESTARTS;
	for (u64 reason = L4_EXIT_SYSCALL; reason <= L4_EXIT_EXCEPTION; reason++)
		if (shared[EXITS + reason] < LEAST_EXITS)
			return 0;
	return shared[ROUNDS] >= MOST_ROUNDS;
}

static void restart(void)
{
	MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
	shared[RESTARTS]++;
	arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], helper_entry, (u64)guest.helper,
	                helper_stack(guest.helper));
	MUST(INV(guest.helper->thread, L4_THREAD_WRITE_REGS));
	MUST(INV(guest.helper->thread, L4_THREAD_RESUME));
}

/*
 * Runs at the guest's priority, so that the guest is preempted after each time slice, and may have to be started
 * again.
 */
static void attack(enum kind kind)
{
	u64 reply = obj_new(L4_TYPE_REPLY, 0), last = 0, idle = 0;

	attacked = kind;
	guest_make(victim);
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, 100, L4_PRIORITIES - 1));
	print("# attack %s\n", names[kind]);
	helper_start(guest.helper);
	while (!shared[WRITTEN])
		SYS(L4_SYS_YIELD, 0, 0);
	while (!enough()) {
		SYS(L4_SYS_YIELD, 0, 0);
		idle = shared[ROUNDS] == last ? idle + 1 : 0;
		last = shared[ROUNDS];
		if (!sys(L4_SYS_NB_RECV, parent_endpoint, 0, (u64[6]){ 0 }, reply).error || idle > 2) {
			idle = 0;
			restart();
		}
	}
	shared[STOP] = 1;
	for (idle = 0; !shared[STOPPED]; idle++) {
		if (idle % 8 == 0)
			restart();
		SYS(L4_SYS_YIELD, 0, 0);
	}
	MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, L4_ROOT_PRIORITY, L4_PRIORITIES - 1));
	print("# %s: %lu rounds, %lu restarts; exits by system call %lu, fault %lu, event %lu, exception %lu\n",
	      names[kind], shared[ROUNDS], shared[RESTARTS], shared[EXITS + L4_EXIT_SYSCALL],
	      shared[EXITS + L4_EXIT_FAULT], shared[EXITS + L4_EXIT_EVENT], shared[EXITS + L4_EXIT_EXCEPTION]);
}

TEST(attack_register_frame) { attack(FRAME); }

TEST(attack_vcpu_page) { attack(VCPU_PAGE); }

TEST(attack_guest_page_table) { attack(TABLE); }

TEST(attack_utcb) { attack(UTCB); }
