/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread makes random system calls. It holds capabilities of every type but Control, to objects that are only its
 * own. L4 must go on, and all memory must be free afterwards, which the harness checks; quoll-debug.elf checks the
 * kernel's invariants meanwhile. Each test is one seed, so a failure repeats.
 *
 * Where there are several CPUs, a thread on each does so with the same objects, and quoll-debug.elf holds CPUs up at random
 * (lib/hold/points.h): under -icount that repeats as well.
 */
#include <hold/points.h>
#include "guest.h"

#define CALLS     6000UL /* for each seed; fewer when the thread ends itself for good */
#define SLOT_BITS 8
#define SLOTS     (1UL << SLOT_BITS)
#define FILLED    64 /* slots 1 to FILLED are filled before the thread starts */
#define ATTEMPTS  40 /* times that the thread is started again, after a fault or when it sleeps or is stopped */

#define FUZZERS        4      /* at most, each on a CPU of its own */
#define MANY           1000UL /* calls of each of them */
#define TICK_US        1000   /* how often it is looked what they do */
#define TICK_BUDGET_US 100

enum word { DONE, SUCCEEDED, STARTS, STATE, LIMIT, WORDS };
#define OF(self, word) shared[(self)->arg[0] * WORDS + (word)]

static u64 fuzz_cnode;

/* Values at and around the limits that the kernel checks: slots, sizes, rights, addresses. */
static u64 interesting(u64 *state)
{
	static const u64 values[] = { 0,
	                              1,
	                              2,
	                              3,
	                              7,
	                              12,
	                              16,
	                              21,
	                              48,
	                              64,
	                              255,
	                              256,
	                              4095,
	                              4096,
	                              0x1fffff,
	                              0x200000,
	                              L4_GUEST_RAM_VADDR,
	                              L4_GUEST_VCPU_VADDR,
	                              TEST_VADDR,
	                              UTCB_VADDR,
	                              SHARED_VADDR,
	                              0x400000,
	                              1UL << 38,
	                              1UL << 47,
	                              (1UL << 47) - 4096,
	                              1UL << 63,
	                              ALL_ONES,
	                              ALL_ONES << 12,
	                              0xffff800000000000,
	                              0xffffffff80200000 };
	u64 r = random64(state);

	switch (r % 8) {
	case 0:
	case 1:
	case 2:
		return r >> 32 & (FILLED - 1);
	case 3:
	case 4:
		return values[(r >> 32) % (sizeof(values) / 8)];
	case 5:
		return TEST_VADDR + ((r >> 32) % 64) * 4096;
	case 6:
		return (r >> 32) % 24;
	default:
		return random64(state);
	}
}

/* Slots that fill() fills: the Untyped, the CNode itself, then six capabilities of each type, then the others. */
enum slot {
	UNTYPED = 1,
	SELF,
	ENDPOINTS,
	NOTIFICATIONS = ENDPOINTS + 6,
	REPLIES = NOTIFICATIONS + 6,
	GUESTSPACES = REPLIES + 6,
	VCPUS = GUESTSPACES + 6,
	THREADS = VCPUS + 6,
	SCHEDS = THREADS + 6,
	VSPACE = SCHEDS + 6,
	FRAME,
	LARGE_FRAME,
	CNODE,
	IRQ,
	OWN_THREAD,
	OWN_VSPACE,
	FREE = FILLED,
};

struct call {
	u64 what, cap, tag, words[6], reply;
};

/* Chooses a call that succeeds as long as the slots hold what fill() put there. */
static void sensible(struct call *c, u64 *state)
{
	static const u8 bits[] = { 0, 0, 0, 12, 13, 16, 21, 7 };
	u64 r = random64(state), any = 1 + (r >> 8) % (SLOTS - 1), empty = FREE + (r >> 16) % (SLOTS - FREE);
	u64 six = (r >> 24) % 6, frame = r & 1UL << 40 ? FRAME + (r >> 41) % 2 : any;
	u64 space = r & 1UL << 48 ? OWN_VSPACE : VSPACE, page = TEST_VADDR + (r >> 50) % 64 * L4_PAGE_SIZE;

	*c = (struct call){ .what = L4_SYS_INVOKE };
#define CALL(c_cap, c_tag, ...)                                              \
	do {                                                                 \
		c->cap = c_cap;                                              \
		c->tag = c_tag;                                              \
		memcpy(c->words, (u64[6]){ __VA_ARGS__ }, sizeof(c->words)); \
	} while (0)
	switch (r % 14) {
	case 0:
		CALL(UNTYPED, L4_UNTYPED_RETYPE, (r >> 32) % 13, bits[(r >> 36) % 8], SELF, empty, 1 + six % 3);
		break;
	case 1:
		CALL(SELF, L4_CNODE_COPY + r / 16 % 3, empty, SELF, any, L4_RIGHT_ALL & ~(r >> 60), r >> 61);
		break;
	case 2:
		CALL(SELF, L4_CNODE_DELETE + r / 16 % 2, r >> 58 ? empty : any);
		break;
	case 3:
		CALL(THREADS + six, L4_THREAD_CONFIGURE, SELF, space, UTCB_VADDR + (20 + six) * L4_PAGE_SIZE,
		     r & 1UL << 49 ? ENDPOINTS + six : 0);
		break;
	case 4:
		CALL(THREADS + six, L4_THREAD_SET_SCHED, r & 1UL << 49 ? SCHEDS + (r >> 50) % 6 : 0, (r >> 53) % 101,
		     100);
		break;
	case 5:
		CALL(THREADS + six, L4_THREAD_WRITE_REGS + r / 16 % 4);
		break;
	case 6:
		CALL(THREADS + six, L4_THREAD_BIND_NOTIFICATION + r / 16 % 2,
		     (r & 16 ? VCPUS : NOTIFICATIONS) + (r >> 50) % 6, page + (1UL << 30));
		break;
	case 7:
		CALL(space, L4_VSPACE_MAP + r / 16 % 2, frame, r & 16 ? (r >> 50) % 8 << 12 : page, (r >> 44) % 8);
		break;
	case 8:
		CALL(frame, L4_FRAME_UNMAP);
		break;
	case 9:
		CALL(GUESTSPACES + six, L4_GUESTSPACE_CONFIGURE + r / 16 % 3, r & 16 ? 0 : space, ALL_ONES);
		break;
	case 10:
		CALL(IRQ, r / 16 % 5, r / 16 % 5 == L4_IRQ_HANDLER_ROUTE ? (r >> 50) % 5 : NOTIFICATIONS + six);
		break;
	case 11:
		c->what = r & 16 ? L4_SYS_NB_SEND : L4_SYS_NB_RECV;
		CALL(ENDPOINTS + six, TAG(1, (r >> 50) % 49, (r >> 57) % 2));
		c->reply = r & 32 ? REPLIES + six : 0;
		break;
	case 12:
		c->what = r & 16 ? L4_SYS_SIGNAL : L4_SYS_POLL;
		CALL(NOTIFICATIONS + six, 0);
		break;
	default:
		c->what = r & 48 ? L4_SYS_YIELD : r & 64 ? L4_SYS_CALL : L4_SYS_SEND;
		CALL(ENDPOINTS + six, TAG(2, (r >> 50) % 7, 0));
	}
#undef CALL
}

static void senseless(struct call *c, u64 *state)
{
	u64 r = random64(state);

	c->what = r & 1 ? L4_SYS_INVOKE : (r >> 8) % (L4_SYS_VCPU_PREEMPTED + 3);
	c->cap = interesting(state);
	c->reply = interesting(state);
	c->tag = c->what == L4_SYS_INVOKE ? random64(state) % 9 : interesting(state);
	for (int i = 0; i < 6; i++)
		c->words[i] = interesting(state);
}

static void fuzz(struct helper *self)
{
	u64 state = OF(self, STATE);

	while (OF(self, DONE) < OF(self, LIMIT)) {
		struct call c;

		if (random64(&state) % 4)
			sensible(&c, &state);
		else
			senseless(&c, &state);
		OF(self, STATE) = state;
		OF(self, DONE)++;
		/* DEBUG_WRITE would fill the log. */
		if (c.what == L4_SYS_DEBUG_WRITE)
			continue;
		OF(self, SUCCEEDED) += !sys(c.what, c.cap, c.tag, c.words, c.reply).error;
	}
}

static u64 next_slot(u64 *slot, u64 from)
{
	MUST(INV(fuzz_cnode, L4_CNODE_MOVE, *slot, L4_ROOT_SLOT_CNODE, from));
	return (*slot)++;
}

/* Makes objects of every type, capabilities with fewer rights and with badges, and those to the threads themselves. */
static void fill(struct helper **fuzzers, u64 count)
{
	static const u8 types[] = { L4_TYPE_ENDPOINT, L4_TYPE_NOTIFICATION, L4_TYPE_REPLY,        L4_TYPE_GUESTSPACE,
	                            L4_TYPE_VCPU,     L4_TYPE_THREAD,       L4_TYPE_SCHED_CONTEXT };
	u64 slot = 1, cap, line = slot_new();

	next_slot(&slot, obj_new(L4_TYPE_UNTYPED, 21));
	MUST(INV(fuzz_cnode, L4_CNODE_COPY, slot++, L4_ROOT_SLOT_CNODE, fuzz_cnode, L4_RIGHT_ALL));
	for (u64 i = 0; i < sizeof(types); i++)
		for (int k = 0; k < 3; k++) {
			cap = types[i] == L4_TYPE_SCHED_CONTEXT ? sched_new(5000 + 5000 * k, 15000)
			                                        : obj_new(types[i], 0);
			if (types[i] == L4_TYPE_SCHED_CONTEXT)
				MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, cap, 5000 + 5000 * k, 15000,
				         k % count));
			MUST(INV(fuzz_cnode, L4_CNODE_MINT, slot++, L4_ROOT_SLOT_CNODE, cap,
			         k ? L4_RIGHT_ALL : L4_RIGHT_READ,
			         types[i] == L4_TYPE_ENDPOINT || types[i] == L4_TYPE_NOTIFICATION ? k : 0));
			next_slot(&slot, cap);
		}
	next_slot(&slot, obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS));
	next_slot(&slot, obj_new(L4_TYPE_FRAME, L4_PAGE_BITS));
	next_slot(&slot, obj_new(L4_TYPE_FRAME, L4_LARGE_PAGE_BITS));
	next_slot(&slot, obj_new(L4_TYPE_CNODE, L4_CNODE_SLOT_BITS + 3));
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_IRQ_LINE, ARCH_FREE_LINE, 0, L4_ROOT_SLOT_CNODE, line));
	next_slot(&slot, line);
	for (u64 i = 0; i < count; i++) {
		MUST(INV(fuzz_cnode, L4_CNODE_MINT, slot++, L4_ROOT_SLOT_CNODE, fuzzers[i]->thread, L4_RIGHT_ALL, 0));
		MUST(INV(fuzz_cnode, L4_CNODE_MINT, slot++, L4_ROOT_SLOT_CNODE, fuzzers[i]->vspace, L4_RIGHT_ALL, 0));
	}
	CHECK(slot > OWN_VSPACE && slot <= FREE);
}

static int start(struct helper *h)
{
	OF(h, STARTS)++;
	if (INV(h->thread, L4_THREAD_SUSPEND).error)
		return 0;
	arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], helper_entry, (u64)h, helper_stack(h));
	return !INV(h->thread, L4_THREAD_WRITE_REGS).error && !INV(h->thread, L4_THREAD_RESUME).error;
}

/* Has only capabilities that the fuzzers have. */
static struct helper *fuzzer(u64 index, u64 seed, u64 limit)
{
	struct helper *h = helper_fork(fuzz, index, 100);

	OF(h, STATE) = (seed * FUZZERS + index) * 0x9e3779b97f4a7c15;
	OF(h, LIMIT) = limit;
	return h;
}

static void confine(struct helper *h)
{
	u64 fault = cap_mint(parent_endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, 7);

	MUST(INV(h->thread, L4_THREAD_CONFIGURE, fuzz_cnode, h->vspace, (u64)h->utcb, fault));
}

static void tell(const char *what, u64 seed, const struct helper *h)
{
	print("# seed %lu%s: %lu calls, %lu succeeded, %lu starts\n", seed, what, OF(h, DONE), OF(h, SUCCEEDED),
	      OF(h, STARTS));
}

static void run(u64 seed)
{
	u64 reply = obj_new(L4_TYPE_REPLY, 0), last = 0, idle = 0;
	struct helper *h;

	need_one_cpu();
	fuzz_cnode = obj_new(L4_TYPE_CNODE, L4_CNODE_SLOT_BITS + SLOT_BITS);
	h = fuzzer(0, seed, CALLS);
	fill(&h, 1);
	confine(h);
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, 100, L4_PRIORITIES - 1));
	/* Runs at its priority, so that it is preempted after each time slice. */
	for (int going = start(h); going && OF(h, DONE) < CALLS && OF(h, STARTS) < ATTEMPTS;) {
		SYS(L4_SYS_YIELD, 0, 0);
		idle = OF(h, DONE) == last ? idle + 1 : 0;
		last = OF(h, DONE);
		if (!sys(L4_SYS_NB_RECV, parent_endpoint, 0, (u64[6]){ 0 }, reply).error || idle > 2) {
			idle = 0;
			going = start(h);
		}
	}
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, L4_ROOT_PRIORITY, L4_PRIORITIES - 1));
	tell("", seed, h);
	CHECK(OF(h, SUCCEEDED) > 50);
}

static u64 tick;

/* Uses its budget up each time. */
static void ticks(struct helper *self)
{
	for (;;) {
		u64 now = l4_counter();

		SYS(L4_SYS_SIGNAL, tick, 0);
		while (l4_counter() - now < self->arg[0])
			;
	}
}

/* Starts each of them again when it has done nothing since the last tick. False: all are done. */
static int look_after(struct helper **h, u64 *last, u64 count)
{
	int going = 0;

	for (u64 i = 0; i < count; i++) {
		if (OF(h[i], DONE) >= MANY || OF(h[i], STARTS) >= ATTEMPTS * 4)
			continue;
		if (OF(h[i], DONE) != last[i] || start(h[i]))
			going = 1;
		last[i] = OF(h[i], DONE);
	}
	return going;
}

static void run_many(u64 seed)
{
	u64 reply = obj_new(L4_TYPE_REPLY, 0), last[FUZZERS] = { 0 }, done = 0, count;
	struct helper *h[FUZZERS], *clock;

	need_cpus(2);
	count = boot_info->cpus < FUZZERS ? boot_info->cpus : FUZZERS;
	fuzz_cnode = obj_new(L4_TYPE_CNODE, L4_CNODE_SLOT_BITS + SLOT_BITS);
	for (u64 i = 0; i < count; i++) {
		helper_cpu = i;
		h[i] = fuzzer(i, seed, MANY);
	}
	helper_cpu = 0;
	tick = obj_new(L4_TYPE_NOTIFICATION, 0);
	clock = helper_make(ticks, boot_info->counter_hz / 1000000 * TICK_BUDGET_US, L4_ROOT_PRIORITY - 1);
	MUST(INV(L4_ROOT_SLOT_CONTROL, L4_CONTROL_SCHED_CONFIGURE, clock->sched, TICK_BUDGET_US, TICK_US));
	fill(h, count);
	for (u64 i = 0; i < count; i++)
		confine(h[i]);
	/* Not with the kernels that hold no CPU up. */
	SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_RANDOM, seed, 0, 0, HOLD_KEY);
	for (u64 i = 0; i < count; i++)
		start(h[i]);
	helper_start(clock);
	do {
		ERR(SYS(L4_SYS_WAIT, tick, 0), OK);
		while (!sys(L4_SYS_NB_RECV, parent_endpoint, 0, (u64[6]){ 0 }, reply).error)
			;
	} while (look_after(h, last, count));
	SYS(L4_SYS_DEBUG_COUNTER, 0, HOLD_RANDOM, 0, 0, 0, HOLD_KEY);
	for (u64 i = 0; i < count; i++) {
		tell(" many", seed, h[i]);
		done += OF(h[i], SUCCEEDED);
	}
	CHECK(done > 50 * count);
}

#define SEED(n) \
	TEST(fuzz_##n) { run(n); }

/* clang-format off */
SEED(1) SEED(2) SEED(3) SEED(4) SEED(5) SEED(6) SEED(7) SEED(8) SEED(9) SEED(10) SEED(11) SEED(12)
SEED(13) SEED(14) SEED(15) SEED(16) SEED(17) SEED(18) SEED(19) SEED(20) SEED(21) SEED(22) SEED(23) SEED(24)

#define MANY_SEED(n) \
	TEST(fuzz_many_##n) { run_many(n); }
MANY_SEED(1) MANY_SEED(2) MANY_SEED(3) MANY_SEED(4) MANY_SEED(5) MANY_SEED(6) MANY_SEED(7) MANY_SEED(8) MANY_SEED(9)
MANY_SEED(10) MANY_SEED(11) MANY_SEED(12)
