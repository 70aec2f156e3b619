/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small guest kernel: a fork of this program whose thread has a vCPU, guest RAM and GuestSpaces.
 *
 * GUEST_TEST bodies run in it as ordinary functions: VCPU_ENTER looks like a call that returns the exit
 * reason. Guest-physical memory: programs of user mode at CODE_GPA, the register frame below FRAME_END_GPA,
 * page tables and pages of tests from HEAP_GPA on.
 */
#ifndef GUEST_H
#define GUEST_H

#include "harness.h"

#define GUEST_RAM_BITS    22
#define GUEST_RAM         (1UL << GUEST_RAM_BITS)
#define GUEST_TEST_SPACES 3
#define GUEST_FREE_SLOTS  4
#define CODE_GPA          0x1000UL
#define FRAME_END_GPA     0x3000UL
#define HEAP_GPA          0x10000UL
#define LARGE_GPA         0x200000UL /* second large page: not used by the heap */

#define CODE_VADDR 0x10000UL /* user addresses */
#define DATA_VADDR 0x40000000UL
#define USER_STACK 0x7ff000UL

#define ALL_ONES    (~0UL)
#define LEAF_RW     (L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_USER | L4_PTE_READ | L4_PTE_WRITE)
#define LEAF_RX     (L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_USER | L4_PTE_READ | L4_PTE_EXEC)
#define LEAF_KERNEL (L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_READ | L4_PTE_WRITE)
#define PAGE_MASK   (L4_PAGE_SIZE - 1UL)

struct guest {
	u64 vcpu, ram, attached, mapped, event, kick, read_only_kick, space[GUEST_TEST_SPACES], foreign, unconfigured;
	u64 free; /* the first of GUEST_FREE_SLOTS that the guest may use: in it slots_new() has those of its own objects */
	struct helper *helper;
};

/* What the last upcall said. */
struct upcall {
	volatile u64 count, events;
	u64 reason, code, address, access, present, irq;
	int (*resolve)(void); /* makes a fault go away: 1 to try again */
	int (*event)(void);   /* changes where to go on after an event; its result does not matter */
};

extern struct guest guest;
#define guest_vspace (shared[511]) /* slot of its VSpace, made after what it has in guest */
extern struct upcall upcall;
extern volatile struct l4_vcpu_page *vcpu;
extern u64 guest_ram, guest_own; /* addresses of guest RAM, and of what only the guest's own table maps */
#define guest_frame ((struct l4_frame *)(guest_ram + FRAME_END_GPA - sizeof(struct l4_frame)))

/* Where the guest kernel is: at addresses as its user mode has; in the upper half, beside it; there, above it. */
enum guest_place { GUEST_LOW, GUEST_HIGH, GUEST_ABOVE };

#define GUEST_TEST_AT(id, name, where)           \
	TEST(name)                               \
	{                                        \
		guest_make_at(id##_body, where); \
		guest_run();                     \
	}
#if ARCH_GUEST_BASE
#define GUEST_TEST_HIGH(id)                      \
	GUEST_TEST_AT(id, id##_high, GUEST_HIGH) \
	GUEST_TEST_AT(id, id##_above, GUEST_ABOVE)
#else
#define GUEST_TEST_HIGH(id)
#endif
/* The body runs in a guest kernel in each place that this CPU has; and one that does so only in the first. */
#define GUEST_TEST(id)                              \
	static void id##_body(struct helper *self); \
	GUEST_TEST_AT(id, id, GUEST_LOW)            \
	GUEST_TEST_HIGH(id)                         \
	static void id##_body(struct helper *self)
#define GUEST_TEST_LOW(id)                          \
	static void id##_body(struct helper *self); \
	GUEST_TEST_AT(id, id, GUEST_LOW)            \
	static void id##_body(struct helper *self)

/* A test in the root pager's place that makes a guest, in each place that this CPU has but GUEST_HIGH. */
#define GUEST_SCENE(id)               \
	static void id##_scene(void); \
	TEST(id) { id##_scene(); }    \
	GUEST_SCENE_HIGH(id)          \
	static void id##_scene(void)
#if ARCH_GUEST_BASE
#define GUEST_SCENE_HIGH(id)               \
	TEST(id##_above)                   \
	{                                  \
		guest_place = GUEST_ABOVE; \
		id##_scene();              \
	}
#else
#define GUEST_SCENE_HIGH(id)
#endif
extern enum guest_place guest_place; /* of the next guest; GUEST_LOW when it is made */

/* Called by a test in the root pager's place. */
void guest_make(void (*body)(struct helper *));
void guest_make_at(void (*body)(struct helper *), enum guest_place where);
void guest_run(void); /* the one made last, to its end */
/* The same with a page at GUEST_RAM, of which the body sees the loss, by L4_FRAME_UNMAP of shared[11]; shared[12] = 1. */
void guest_run_losing(u64 page);

/* Called in the guest. */
static inline void *gp(u64 gpa) { return (void *)(guest_ram + gpa); }
void guest_init(void); /* sets the kernel entry, loads the programs, maps them in all spaces */
extern u64 user_root;  /* that table */
u64 page_new(void);    /* gpa of a zero page */
u64 table_new(void);   /* a root table with the programs mapped */
u64 *table_entry(u64 root, u64 vaddr, int level); /* makes the tables above; level 0 is the last */
void table_map(u64 root, u64 vaddr, u64 gpa, u64 flags);
u64 enter(u64 space); /* exit reason */
#define PROGRAM(name) (arch_user_##name - arch_user_load)
void user_call(u64 program, u64 arg0, u64 arg1); /* prepares guest_frame */
u64 user_load(u64 space, u64 vaddr, u64 *value); /* 1 if the value came, 0 on FAULT */
u64 user_store(u64 space, u64 vaddr, u64 value);
void flush(u64 space, u64 op, u64 start, u64 end);

#endif
