/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tests' harness: every test gets a fresh Untyped, which is revoked afterwards and must be whole again.
 *
 * A test is a function registered by TEST. It runs in the root pager's place with all capabilities. Helpers
 * are threads in the same VSpace or in a fork of it: a VSpace with a private copy of this program at the same
 * addresses, so that any function can run on either side.
 */
#ifndef HARNESS_H
#define HARNESS_H

/* All of it is in this program, so that addresses of functions are relative to the instruction as well. */
#pragma GCC visibility push(hidden)

#include <abi_boot.h>
#include <l4/invoke.h>
#include <base/lib.h>
#include <arch.h>

#define print l4_printf

/* A system call's results, in the order of the ABI. */
struct sys {
	u64 error, badge, tag, m[6];
};

/* Any system call with any arguments. */
static inline __attribute__((always_inline)) struct sys sys(u64 number, u64 cap, u64 tag, const u64 *words, u64 reply)
{
	struct l4_msg msg = { .tag = tag };
	struct sys r;

	for (int i = 0; i < 6; i++)
		msg.words[i] = words[i];
	r.error = l4_syscall(number, cap, reply, &msg);
	r.badge = msg.badge;
	r.tag = msg.tag;
	for (int i = 0; i < 6; i++)
		r.m[i] = msg.words[i];
	return r;
}

struct test {
	const char *name;
	void (*run)(void);
};

#define TEST(id)                                                                                          \
	static void id(void);                                                                             \
	static const struct test id##_test = { #id, id };                                                 \
	static const struct test *const id##_entry __attribute__((section("ktests"), used)) = &id##_test; \
	static void id(void)

#define INV(cap, op, ...)       sys(L4_SYS_INVOKE, cap, op, (u64[6]){ __VA_ARGS__ }, 0)
#define SYS(nr, cap, tag, ...)  sys(nr, cap, tag, (u64[6]){ __VA_ARGS__ }, 0)
#define TAG(label, words, caps) l4_tag(label, words, caps)
#define LABEL(tag)              l4_tag_label(tag)

static inline struct sys recv(u64 cap, u64 reply) { return sys(L4_SYS_RECV, cap, 0, (u64[6]){ 0 }, reply); }

/* Checks go on after a failure; MUST ends the test, for what the rest builds on. */
#define CHECK(cond)     check_eq(__FILE__, __LINE__, #cond, !!(cond), 1)
#define EQ(got, want)   check_eq(__FILE__, __LINE__, #got, (u64)(got), (u64)(want))
#define ERR(call, want) check_eq(__FILE__, __LINE__, #call, (call).error, L4_ERR_##want)
#define MUST(call)      must(__FILE__, __LINE__, #call, (call).error)

int check_eq(const char *file, int line, const char *what, u64 got, u64 want);
void need_guest_mode(u64 mode); /* the test is left out on a machine without it */
void need_cpus(u64 count);
void need_one_cpu(void);
void need_holds(void); /* a kernel that holds CPUs up: lib/hold/points.h */
void must(const char *file, int line, const char *what, u64 error);
void finish_test(void) __attribute__((noreturn));

/* Slots and objects of the current test. */
u64 slots_new(u64 count);
static inline u64 slot_new(void) { return slots_new(1); }
u64 obj_new(u64 type, u64 bits);
u64 cap_copy(u64 slot, u64 rights);
u64 cap_mint(u64 slot, u64 rights, u64 badge);
u64 slot_type_error(u64 slot);
struct sys retype(u64 untyped, u64 type, u64 bits, u64 slot, u64 count);
static inline struct sys slot_delete(u64 slot) { return INV(L4_ROOT_SLOT_CNODE, L4_CNODE_DELETE, slot); }
static inline struct sys slot_revoke(u64 slot) { return INV(L4_ROOT_SLOT_CNODE, L4_CNODE_REVOKE, slot); }
extern u64 test_untyped; /* slot of the current test's Untyped, TEST_UNTYPED_BITS large */
#define TEST_UNTYPED_BITS 25

extern const struct l4_boot_info *boot_info;
extern struct l4_utcb *root_utcb;
extern volatile u64 *shared; /* one page that forks see, too; zero when a test starts */
extern u64 failures;         /* of the current test, in this VSpace */

/* Addresses free for tests. A region of 2 MiB each, so that table pages are taken once only. */
#define UTCB_VADDR   0x18000000UL /* helpers' UTCBs */
#define SHARED_VADDR 0x18100000UL
#define TEST_VADDR   0x20000000UL   /* a test's own mappings: 16 MiB */
#define COPY_VADDR   0x30000000UL   /* where a fork's program is prepared */
#define NO_VADDR     0x3f00000000UL /* nobody maps anything here; also a machine of 38 bits has it */

/* Helper threads. */
#define HELPERS      12
#define HELPER_STACK 8192
#define LABEL_DONE   100 /* of a helper's last message: words are its index and its failures */

struct helper {
	u64 index, thread, sched, vspace;
	struct l4_utcb *utcb;
	void (*run)(struct helper *self);
	u64 arg[4];
	int forked, done;
};

extern u64 helper_cpu; /* where helpers that are made run; 0 when a test starts */
extern u64 fork_bits;  /* log2 of the size of a fork's VSpace; 18 when a test starts */
/* What is added to the addresses of a fork, and its guest mode if that is not 0; 0 when a test starts. */
extern u64 fork_base, fork_mode;
u64 vspace_fork(void);
struct helper *helper_make(void (*run)(struct helper *), u64 arg, u64 priority);
struct helper *helper_fork(void (*run)(struct helper *), u64 arg, u64 priority);
struct helper *helper_make_in(u64 vspace, u64 utcb, void (*run)(struct helper *), u64 arg, u64 priority);
void helper_forget(void);
void helper_settle(void);               /* until no other helper can run */
void helper_entry(struct helper *self); /* where a helper starts, and the end of its stack */
u64 helper_stack(const struct helper *h);
void helper_start(struct helper *h);
void helper_join(struct helper *h); /* runs others until h is done; a fault fails the test */
void helper_join_quietly(struct helper *h);
struct sys helper_fault(struct helper *h); /* waits for a fault message of h, which stays blocked */
void helper_answer(u64 tag);               /* answers that fault */
void helper_exit(struct helper *self) __attribute__((noreturn));
u64 sched_new(u64 budget_us, u64 period_us);
void helper_reset(void);
extern u64 parent_endpoint; /* where helpers tell that they are done, and their fault Endpoint */

/* Frames. */
u64 frame_map(u64 frame, u64 vaddr, u64 rights);

u64 random64(u64 *state); /* xorshift: a fixed seed gives the same tests every time */

#endif
