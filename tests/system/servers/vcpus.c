/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small guest in Linux's place with four vCPUs: vCPU 0 starts the others, has them do things and writes "ok ..." or
 * "not ok ..." to the log. Who waits sleeps until an IPI or the timer comes, so one that is lost ends the test.
 */
#include <abi_vcpus.h>
#include <l4/invoke.h>
#include <base/lib.h>

#define VCPUS        4
#define STACK        16384
#define ADDS         100000UL
#define ROUNDS       100UL
#define LIVES        6
#define WINDOW       0x2000000000UL /* one page by the guest's own table */
#define FAR_GPA      (128UL << 20)  /* RAM that nothing else is in; a large page for each vCPU */
#define RAM_BYTES    (256UL << 20)
#define LARGE        (1UL << L4_LARGE_PAGE_BITS)
#define GPA(pointer) ((u64)(pointer) - L4_GUEST_RAM_VADDR)
#define RAM(gpa)     ((volatile u64 *)(L4_GUEST_RAM_VADDR + (gpa)))
#define IPI          (1UL << L4_GUEST_EVENT_IPI)
#define TIMER        (1UL << L4_GUEST_EVENT_TIMER)
#define USER_WINDOW  0x400000UL /* where user mode's program is */
#define ENTERS       1000
#define CALLS        2000UL
#define NO_REQUEST   99 /* of the root pager */
#define RWX          (L4_PTE_VALID | L4_PTE_READ | L4_PTE_WRITE | L4_PTE_EXEC | L4_PTE_LEAF)

enum command {
	NOTHING,
	ADD,
	PASS,
	SLEEP,
	TABLE,
	READ,
	WRITE,
	FLUSH,
	UNMAP,
	START,
	STOP,
	STORM,
	CALL,
	USER,
	FAULT,
	OFF
};

/* What vCPU 0 and one other tell each other. */
struct mail {
	u64 page, stack, number, lives; /* its arguments, how often it has started */
	u64 fresh;                      /* its page and events were as new */
	u64 command, operand, result;
} __attribute__((aligned(64)));

static struct mail mails[VCPUS];
static char stacks[VCPUS][STACK] __attribute__((aligned(16)));
static u64 sum, turn;
static u64 stormy; /* events may come at any time */
static u64 calls;  /* of the root pager that were answered in the storm */
static u64 exits;  /* reasons for which vCPUs with one frame have left user mode, a bit each */
static u64 root[512] __attribute__((aligned(4096))), middle[512] __attribute__((aligned(4096)));
static u64 lower[512] __attribute__((aligned(4096))), leaves[512] __attribute__((aligned(4096)));
static u64 linear[512] __attribute__((aligned(4096)));
static u64 data[LIVES + 2][512] __attribute__((aligned(4096)));
static u64 user_tables[4][512] __attribute__((aligned(4096)));
static char frame_page[L4_PAGE_SIZE] __attribute__((aligned(4096)));

/* The registers of user mode of two vCPUs at once. */
#define user_frame ((struct l4_frame *)(frame_page + sizeof(frame_page)) - 1)

/* The same address in the VSpace of each vCPU, and a page of its own, of which the end is the guest's. */
static struct l4_vcpu_page *const vcpu = (void *)L4_GUEST_VCPU_VADDR;
static struct {
	u64 number, enters;
} *const own = (void *)(L4_GUEST_VCPU_VADDR + 0xf80);

void secondary_start(void);
void secondary_main(u64 page, u64 stack, u64 number);
static void serve(u64 me) __attribute__((noreturn));
void guest_main(struct l4_vcpu_page *page, void *dtb, u64 wallclock);
int l4_main(void *info) { return 0; } /* lib.c needs one; this program does not start there */

static u64 take_events(void)
{
	l4_write_once(vcpu->pending, 0);
	return __atomic_exchange_n(&vcpu->events.word[0], 0, __ATOMIC_SEQ_CST);
}

static void tell(u64 n) { l4_signal(L4_GUEST_SLOT_VCPU + n); }

static void done(u64 me, u64 result)
{
	mails[me].result = result;
	__atomic_store_n(&mails[me].command, NOTHING, __ATOMIC_SEQ_CST);
	tell(0);
}

static u64 call_root(unsigned long label, u64 m0, u64 m1, u64 m2)
{
	struct l4_msg msg = { .tag = l4_tag(label, 3, 0), .words = { m0, m1, m2 } };

	return l4_call(L4_GUEST_SLOT_ROOT, &msg) ? ~(u64)0 : msg.words[0];
}

static u64 start(u64 n)
{
	return call_root(L4_ROOT_VCPU_START, n, (u64)secondary_start, (u64)(stacks[n % VCPUS] + STACK));
}

/* One's turns of a token that all pass on. */
static void pass(u64 me)
{
	u64 round;

	for (round = 0; round < ROUNDS; round++) {
		while (take_events(), __atomic_load_n(&turn, __ATOMIC_SEQ_CST) != round * VCPUS + me)
			l4_vcpu_wait();
		__atomic_fetch_add(&turn, 1, __ATOMIC_SEQ_CST);
		tell((me + 1) % VCPUS);
	}
}

/* Sleep until a time of one's own; whether it was not before, and by the timer. */
static bool sleep_a_while(u64 me)
{
	u64 until = l4_counter() + vcpu->counter_hz / 1000 * (VCPUS - me) * 3, events;

	l4_vcpu_timer(until);
	while (!((events = take_events()) & TIMER)) {
		if (l4_counter() >= until + vcpu->counter_hz * 10)
			return false;
		l4_vcpu_wait();
	}
	return l4_counter() >= until;
}

/* IPIs to all, translations that come and go, while it is stormy. Whether each read found a page of data. */
static bool storm(u64 window)
{
	bool good = true;
	unsigned int n;

	while (__atomic_load_n(&stormy, __ATOMIC_SEQ_CST)) {
		for (n = 0; n < VCPUS; n++)
			tell(n);
		good &= *(volatile u64 *)window >= 1000 && !l4_vcpu_flush(window, window + L4_PAGE_SIZE);
		l4_yield();
	}
	return good;
}

/* Call the root pager, by requests that there are not and by starts of one that runs, while it is stormy. */
static bool call_on_and_on(void)
{
	bool good = true;

	while (__atomic_load_n(&stormy, __ATOMIC_SEQ_CST)) {
		good &= call_root(NO_REQUEST, 0, 0, 0) == L4_ERR_ARG && start(1) == L4_ERR_STATE;
		__atomic_fetch_add(&calls, 2, __ATOMIC_SEQ_CST);
	}
	return good;
}

/* A page to itself: user mode has this one alone. */
static __attribute__((noinline, aligned(4096))) void user_program(void)
{
	for (;;)
		asm volatile("");
}

static void enter_user(void)
{
	take_events();
	l4_vcpu_timer(l4_counter() + vcpu->counter_hz / 20000);
	l4_vcpu_enter(L4_GUEST_SLOT_SPACE);
}

static bool left_by(u64 reason) { return __atomic_load_n(&exits, __ATOMIC_SEQ_CST) >> reason & 1; }

/*
 * Where exits go, on an empty stack. The frame holds anything, so there may be any reason, but no other value. It goes on
 * until an event and a fault have come to any of them.
 */
static void leave_user(u64 reason)
{
	__atomic_fetch_or(&exits, 1UL << (reason & 63), __ATOMIC_SEQ_CST);
	if (own->enters)
		own->enters--;
	if ((own->enters || !left_by(L4_EXIT_EVENT) || !left_by(L4_EXIT_FAULT)) && reason <= L4_EXIT_ERROR)
		enter_user();
	done(own->number, 0);
	serve(own->number);
}

/* Enter user mode many times, with the frame that others use too. */
static void use_frame(u64 me)
{
	own->number = me;
	own->enters = ENTERS;
	vcpu->frame_gpa = GPA(user_frame);
	vcpu->kernel_sp = (u64)(stacks[me] + STACK - 64);
	vcpu->user_entry = (u64)leave_user;
	vcpu->flush[0] = (struct l4_flush_entry){ L4_GUEST_SLOT_SPACE, L4_FLUSH_ROOT, GPA(user_tables[0]), 0 };
	vcpu->flush_count = 1;
	enter_user();
}

/* Stop with a queue that is full of flushes and signals, and that nobody will do. */
static u64 stop(u64 me)
{
	unsigned int i;

	for (i = 0; i < L4_GUEST_FLUSH_QUEUE; i++)
		vcpu->flush[i] = (struct l4_flush_entry){ i & 1 ? L4_GUEST_SLOT_VCPU : L4_GUEST_SLOT_SPACE,
		                                          i & 1 ? L4_FLUSH_SIGNAL : L4_FLUSH_RANGE, 0, ~(u64)0 };
	vcpu->flush_count = L4_GUEST_FLUSH_QUEUE;
	done(me, 0);
	return call_root(L4_ROOT_VCPU_STOP, 0, 0, 0);
}

static u64 obey(u64 me, enum command command, u64 operand)
{
	u64 i;

	switch (command) {
	case ADD:
		for (i = 0; i < ADDS; i++)
			__atomic_fetch_add(&sum, 1, __ATOMIC_SEQ_CST);
		return 0;
	case PASS:
		pass(me);
		return 0;
	case SLEEP:
		return sleep_a_while(me);
	case TABLE:
		l4_write_once(vcpu->kernel_root, GPA(root));
		return 0;
	case READ:
		return *(volatile u64 *)operand;
	case WRITE:
		((volatile u64 *)operand)[me] = 100 + me;
		return 0;
	case FLUSH:
		return l4_vcpu_flush(operand, operand + L4_PAGE_SIZE);
	case UNMAP:
		return call_root(L4_ROOT_UNMAP_RAM, 0, 0, 0);
	case START:
		return start(operand);
	case STOP:
		return stop(me);
	case STORM:
		return storm(operand);
	case CALL:
		return call_on_and_on();
	case USER:
		use_frame(me);
		return 0;
	case OFF:
		return call_root(L4_ROOT_POWER_OFF, operand, 0, 0);
	default:
		return *(volatile u64 *)operand;
	}
}

static bool is_fresh(void)
{
	const struct l4_vcpu_page *page = vcpu;

	return !page->irq_enabled && (stormy || (!page->pending && !page->events.word[0])) && !page->frame_gpa &&
	       !page->kernel_sp && !page->user_entry && !page->kernel_entry && !~page->kernel_root &&
	       !page->flush_count && page->counter_hz && page->mode == L4_GUEST_BESIDE;
}

void secondary_main(u64 page, u64 stack, u64 number)
{
	struct mail *mail = &mails[number % VCPUS];

	mail->fresh = is_fresh();
	mail->page = page;
	mail->stack = stack;
	mail->number = number;
	vcpu->kernel_sp = vcpu->frame_gpa = 0x1230;
	__atomic_fetch_add(&mail->lives, 1, __ATOMIC_SEQ_CST);
	tell(0);
	serve(number);
}

static void serve(u64 me)
{
	const struct mail *mail = &mails[me % VCPUS];
	u64 command;

	for (;;) {
		take_events();
		command = __atomic_load_n(&mail->command, __ATOMIC_SEQ_CST);
		if (!command)
			l4_vcpu_wait();
		else
			done(me, obey(me, command, mail->operand));
	}
}

static void order(unsigned int n, enum command command, u64 operand)
{
	mails[n].operand = operand;
	__atomic_store_n(&mails[n].command, command, __ATOMIC_SEQ_CST);
	tell(n);
}

static u64 answer(unsigned int n)
{
	while (take_events(), __atomic_load_n(&mails[n].command, __ATOMIC_SEQ_CST))
		l4_vcpu_wait();
	return mails[n].result;
}

static u64 ask(unsigned int n, enum command command, u64 operand)
{
	order(n, command, operand);
	return answer(n);
}

/* The same of all: whether each answers so. */
static bool all(enum command command, u64 operand, u64 expected)
{
	bool good = true;
	unsigned int n;

	for (n = 1; n < VCPUS; n++)
		order(n, command, operand);
	good &= obey(0, command, operand) == expected;
	for (n = 1; n < VCPUS; n++)
		good &= answer(n) == expected;
	return good;
}

/* Wait until it has come this often to where it starts. */
static bool started(unsigned int n, u64 lives)
{
	const struct mail *mail = &mails[n];

	while (take_events(), __atomic_load_n(&mail->lives, __ATOMIC_SEQ_CST) < lives)
		l4_vcpu_wait();
	return mail->lives == lives && mail->fresh && mail->number == n && mail->page == L4_GUEST_VCPU_VADDR &&
	       mail->stack == (u64)(stacks[n] + STACK);
}

static void result(bool good, const char *what) { l4_printf("%s %s\n", good ? "ok" : "not ok", what); }

static void test_start(void)
{
	bool good = true;
	unsigned int n;

	result(start(VCPUS) == L4_ERR_RANGE && start(~(u64)0) == L4_ERR_RANGE && start(L4_GUEST_VCPUS) == L4_ERR_RANGE,
	       "start of one that there is not");
	result(start(0) == L4_ERR_STATE, "start of the first");
	result(call_root(L4_ROOT_VCPU_STOP, 0, 0, 0) == L4_ERR_STATE, "stop of the first");
	for (n = 1; n < VCPUS; n++)
		good &= start(n) == L4_ERR_OK;
	for (n = 1; n < VCPUS; n++)
		good &= started(n, 1);
	result(good, "start, page and arguments");
	good = true;
	for (n = 1; n < VCPUS; n++)
		good &= start(n) == L4_ERR_STATE;
	result(good, "start of one that runs");
}

static void test_ipi(void)
{
	u64 events;

	result(l4_signal(L4_GUEST_SLOT_VCPU + VCPUS) == L4_ERR_CAP, "no way to one that there is not");
	take_events();
	tell(0);
	events = take_events();
	result(events == IPI, "an IPI to oneself");
	all(PASS, 0, 0);
	result(turn == VCPUS * ROUNDS, "a token by IPIs");
	result(all(ADD, 0, 0) && sum == VCPUS * ADDS, "atomic adds to shared RAM");
	result(all(SLEEP, 0, true), "timers");
}

/* A page by the guest's own table, which all share; each flushes its own translation of it. */
static void test_tables(void)
{
	u64 *leaf = &leaves[WINDOW >> L4_PAGE_BITS & 511];
	bool good = true;
	unsigned int n;

	root[0] = GPA(middle) | L4_PTE_VALID;
	middle[WINDOW >> 30 & 511] = GPA(lower) | L4_PTE_VALID;
	lower[WINDOW >> 21 & 511] = GPA(leaves) | L4_PTE_VALID;
	middle[L4_GUEST_RAM_VADDR >> 30 & 511] = GPA(linear) | L4_PTE_VALID;
	for (n = 0; n < RAM_BYTES / LARGE; n++)
		linear[n] = n * LARGE | RWX;
	for (n = 0; n < LIVES + 2; n++)
		data[n][0] = 1000 + n;
	*leaf = GPA(data[0]) | (RWX & ~L4_PTE_EXEC);
	all(TABLE, 0, 0);
	result(all(READ, WINDOW, 1000), "a page by the guest's table");
	all(WRITE, WINDOW + 64, 0);
	for (n = 0; n < VCPUS; n++)
		good &= data[0][8 + n] == 100 + n;
	result(good && (*leaf & L4_PTE_ACCESSED) && (*leaf & L4_PTE_DIRTY), "stores through it");
	__atomic_store_n(leaf, GPA(data[1]) | (RWX & ~L4_PTE_EXEC), __ATOMIC_SEQ_CST);
	result(all(FLUSH, WINDOW, L4_ERR_OK) && all(READ, WINDOW, 1001), "a translation that each flushes");
}

/* Without its mapping of RAM a vCPU goes on by the guest's table, and the others keep theirs. */
static void test_unmap(void)
{
	bool good = ask(2, UNMAP, 0) == L4_ERR_OK;
	unsigned int n;

	for (n = 0; n < VCPUS; n++)
		*RAM(FAR_GPA + n * LARGE) = 50 + n;
	for (n = 1; n < VCPUS; n++)
		good &= ask(n, READ, L4_GUEST_RAM_VADDR + FAR_GPA + n * LARGE) == 50 + n;
	for (n = 0; n < VCPUS; n++)
		good &= !!(linear[FAR_GPA / LARGE + n] & L4_PTE_ACCESSED) == (n == 2);
	result(good, "RAM unmapped for one");
}

static u64 next_random(void)
{
	static u64 state = 1;

	state = state * 6364136223846793005UL + 1442695040888963407UL;
	return state >> 32 | state << 32;
}

/* Two vCPUs have one frame, which a third fills with anything while they enter user mode and leave it. */
static void test_frame(void)
{
	u64 i;

	for (i = 0; i < 3; i++)
		user_tables[i][USER_WINDOW >> (L4_PAGE_BITS + 9 * (3 - i)) & 511] =
			GPA(user_tables[i + 1]) | L4_PTE_VALID;
	user_tables[3][USER_WINDOW >> L4_PAGE_BITS & 511] = GPA(user_program) | L4_PTE_USER | (RWX & ~L4_PTE_WRITE);
	l4_frame_init(user_frame, USER_WINDOW, 0, 0, 0, 0);
	for (i = 1; i < VCPUS; i++)
		order(i, USER, 0);
	while (__atomic_load_n(&mails[1].command, __ATOMIC_SEQ_CST) ||
	       __atomic_load_n(&mails[2].command, __ATOMIC_SEQ_CST)) {
		/* The program, or where there is none, or anything. */
		i = next_random() % 4;
		if (i < 2)
			l4_frame_init(user_frame, USER_WINDOW + i * LARGE, 0, 0, 0, 0);
		else
			((volatile u64 *)user_frame)[next_random() % (sizeof(*user_frame) / 8)] = next_random();
		take_events();
		l4_vcpu_timer(l4_counter() + vcpu->counter_hz / 20000);
		l4_vcpu_wait();
	}
	for (i = 1; i < VCPUS; i++)
		answer(i);
	result(left_by(L4_EXIT_EVENT) && left_by(L4_EXIT_FAULT) && !(exits >> (L4_EXIT_ERROR + 1)),
	       "one frame of all, which another one rewrites");
}

/* vCPU 3's life ends, and it begins one as new, with no translation of before. Its caller starts it, or vCPU 1. */
static bool renew(unsigned int life, bool by_another)
{
	u64 *leaf = &leaves[WINDOW >> L4_PAGE_BITS & 511], error;

	/* From its answer on it is under way to its end. */
	ask(3, STOP, 0);
	l4_write_once(*leaf, GPA(data[life + 1]) | (RWX & ~L4_PTE_EXEC));
	tell(3);
	while ((error = by_another ? ask(1, START, 3) : start(3)) == L4_ERR_STATE)
		l4_yield();
	if (error || !started(3, life + 1))
		return false;
	ask(3, TABLE, 0);
	return ask(3, READ, WINDOW) == 1001 + life;
}

static void test_stop(void)
{
	bool good = true;
	unsigned int life;

	for (life = 1; life < LIVES; life++)
		good &= renew(life, life & 1);
	result(good, "stop and start again");
	__atomic_store_n(&stormy, 1, __ATOMIC_SEQ_CST);
	order(1, CALM ? READ : STORM, WINDOW);
	order(2, CALM ? READ : STORM, WINDOW);
	good = renew(LIVES, false);
	__atomic_store_n(&stormy, 0, __ATOMIC_SEQ_CST);
	good &= answer(1) && answer(2);
	result(good, "the same while others send and flush");
	sum = 0;
	result(all(ADD, 0, 0) && sum == VCPUS * ADDS, "all after that");
}

/*
 * The root pager has the highest priority on the CPU of vCPU 0, and the others call it without end. vCPU 0 has a turn
 * between any two calls. Of those that it finds answered since its last turn each other vCPU has noted at most two late.
 * Its timer ends its turn where an emulator runs CPUs in turn.
 */
static void test_calls(void)
{
	u64 before = 0, now = 0, most = 0;
	unsigned int n;
	bool good = true;

	__atomic_store_n(&stormy, 1, __ATOMIC_SEQ_CST);
	for (n = 1; n < VCPUS; n++)
		order(n, CALL, 0);
	l4_vcpu_timer(l4_counter());
	for (; now < CALLS; before = now) {
		if (take_events() & TIMER)
			l4_vcpu_timer(l4_counter() + vcpu->counter_hz / 20000);
		l4_yield();
		now = __atomic_load_n(&calls, __ATOMIC_SEQ_CST);
		if (now - before > most)
			most = now - before;
	}
	__atomic_store_n(&stormy, 0, __ATOMIC_SEQ_CST);
	for (n = 1; n < VCPUS; n++)
		good &= answer(n);
	l4_printf("# at most %lu calls between two turns\n", most);
	result(good && most <= 2 * VCPUS + 8, "a turn between calls of the others");
}

void guest_main(struct l4_vcpu_page *page, void *dtb, u64 wallclock)
{
	result(page == vcpu && is_fresh(), "page of the first");
	test_start();
	test_ipi();
	test_tables();
	test_unmap();
	test_frame();
	test_stop();
	test_calls();
	ask(2, VCPUS_END, 7);
	for (;;)
		l4_vcpu_wait();
}
