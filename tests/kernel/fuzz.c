/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A thread makes random system calls. It holds capabilities of every type but Control, to objects that are only its
 * own. L4 must go on, and all memory must be free afterwards, which the harness checks; quoll-debug.elf checks the
 * kernel's invariants meanwhile. Each test is one seed, so a failure repeats.
 */
#include "guest.h"

#define CALLS     6000UL /* for each seed; fewer when the thread ends itself for good */
#define SLOT_BITS 8
#define SLOTS     (1UL << SLOT_BITS)
#define FILLED    64 /* slots 1 to FILLED are filled before the thread starts */
#define ATTEMPTS  40 /* times that the thread is started again, after a fault or when it sleeps or is stopped */

enum word { DONE, SUCCEEDED, STARTS, STATE };

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

	c->what = r & 1 ? L4_SYS_INVOKE : (r >> 8) % (L4_SYS_VCPU_ENTRIES + 3);
	c->cap = interesting(state);
	c->reply = interesting(state);
	c->tag = c->what == L4_SYS_INVOKE ? random64(state) % 9 : interesting(state);
	for (int i = 0; i < 6; i++)
		c->words[i] = interesting(state);
}

static void fuzz(struct helper *self)
{
	u64 state = shared[STATE];

	while (shared[DONE] < CALLS) {
		struct call c;

		if (random64(&state) % 4)
			sensible(&c, &state);
		else
			senseless(&c, &state);
		shared[STATE] = state;
		shared[DONE]++;
		/* DEBUG_WRITE would fill the log. */
		if (c.what == L4_SYS_DEBUG_WRITE)
			continue;
		shared[SUCCEEDED] += !sys(c.what, c.cap, c.tag, c.words, c.reply).error;
	}
}

static u64 next_slot(u64 *slot, u64 from)
{
	MUST(INV(fuzz_cnode, L4_CNODE_MOVE, *slot, L4_ROOT_SLOT_CNODE, from));
	return (*slot)++;
}

/* Makes objects of every type, capabilities with fewer rights and with badges, and those to the thread itself. */
static void fill(struct helper *self)
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
	MUST(INV(fuzz_cnode, L4_CNODE_MINT, slot++, L4_ROOT_SLOT_CNODE, self->thread, L4_RIGHT_ALL, 0));
	MUST(INV(fuzz_cnode, L4_CNODE_MINT, slot++, L4_ROOT_SLOT_CNODE, self->vspace, L4_RIGHT_ALL, 0));
	EQ(slot, OWN_VSPACE + 1);
}

static int start(struct helper *h)
{
	shared[STARTS]++;
	if (INV(h->thread, L4_THREAD_SUSPEND).error)
		return 0;
	arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], helper_entry, (u64)h, helper_stack(h));
	return !INV(h->thread, L4_THREAD_WRITE_REGS).error && !INV(h->thread, L4_THREAD_RESUME).error;
}

static void run(u64 seed)
{
	u64 reply = obj_new(L4_TYPE_REPLY, 0), last = 0, idle = 0;
	struct helper *h;
	u64 fault;

	shared[STATE] = seed * 0x9e3779b97f4a7c15;
	fuzz_cnode = obj_new(L4_TYPE_CNODE, L4_CNODE_SLOT_BITS + SLOT_BITS);
	h = helper_fork(fuzz, 0, 100);
	fill(h);
	fault = cap_mint(parent_endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, 7);
	MUST(INV(h->thread, L4_THREAD_CONFIGURE, fuzz_cnode, h->vspace, (u64)h->utcb, fault));
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, 100, L4_PRIORITIES - 1));
	/* Runs at its priority, so that it is preempted after each time slice. */
	for (int going = start(h); going && shared[DONE] < CALLS && shared[STARTS] < ATTEMPTS;) {
		SYS(L4_SYS_YIELD, 0, 0);
		idle = shared[DONE] == last ? idle + 1 : 0;
		last = shared[DONE];
		if (!sys(L4_SYS_NB_RECV, parent_endpoint, 0, (u64[6]){ 0 }, reply).error || idle > 2) {
			idle = 0;
			going = start(h);
		}
	}
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, L4_ROOT_PRIORITY, L4_PRIORITIES - 1));
	print("# seed %lu: %lu calls, %lu succeeded, %lu starts\n", seed, shared[DONE], shared[SUCCEEDED],
	      shared[STARTS]);
	CHECK(shared[SUCCEEDED] > 50);
}

#define SEED(n) \
	TEST(fuzz_##n) { run(n); }

/* clang-format off */
SEED(1) SEED(2) SEED(3) SEED(4) SEED(5) SEED(6) SEED(7) SEED(8) SEED(9) SEED(10) SEED(11) SEED(12)
SEED(13) SEED(14) SEED(15) SEED(16) SEED(17) SEED(18) SEED(19) SEED(20) SEED(21) SEED(22) SEED(23) SEED(24)
