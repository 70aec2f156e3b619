/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Attacks of ring 1 and ring 3 on the gate: privileged instructions, gates and selectors, crafted frames, flags, and all
 * memory of the last GiB but one. docs/x86_64-gate.md names these tests in its arguments.
 */
#include "guest.h"

#define S0         guest.space[0]
#define SELECTOR_0 0x10 /* L4's code */
#define IMAGE      0xffffffff80200000
#define IMAGE_SIZE 0x200000UL
#define VECTOR_UD  6
#define VECTOR_GP  13
#define FLAGS_FREE 0x244dd5UL /* that rings 1 and 3 may change */
#define GATE_PAGES 12         /* most pages of the image that ring 1 may read: text, tables, stacks */
#define STACKS     6

/* Each may end by an exception; what comes after it says that it did not. */
static const struct forbidden {
	char name[24];
	u8 length, code[12];
} forbidden[] = {
	{ "lgdt", 3, { 0x0f, 0x01, 0x17 } },
	{ "lidt", 3, { 0x0f, 0x01, 0x1f } },
	{ "sgdt", 3, { 0x0f, 0x01, 0x07 } },
	{ "sidt", 3, { 0x0f, 0x01, 0x0f } },
	{ "str", 3, { 0x0f, 0x00, 0xc8 } },
	{ "sldt", 3, { 0x0f, 0x00, 0xc0 } },
	{ "smsw", 3, { 0x0f, 0x01, 0xe0 } },
	{ "ltr", 3, { 0x0f, 0x00, 0xd8 } },
	{ "lldt", 3, { 0x0f, 0x00, 0xd0 } },
	{ "lmsw", 3, { 0x0f, 0x01, 0xf0 } },
	{ "clts", 2, { 0x0f, 0x06 } },
	{ "mov cr0, rax", 3, { 0x0f, 0x20, 0xc0 } },
	{ "mov rax, cr0", 3, { 0x0f, 0x22, 0xc0 } },
	{ "mov cr2, rax", 3, { 0x0f, 0x20, 0xd0 } },
	{ "mov cr3, rax", 3, { 0x0f, 0x20, 0xd8 } },
	{ "mov rax, cr3", 3, { 0x0f, 0x22, 0xd8 } },
	{ "mov rax, cr4", 3, { 0x0f, 0x22, 0xe0 } },
	{ "mov rax, cr8", 4, { 0x44, 0x0f, 0x22, 0xc0 } },
	{ "mov dr7, rax", 3, { 0x0f, 0x21, 0xf8 } },
	{ "mov rax, dr7", 3, { 0x0f, 0x23, 0xf8 } },
	{ "rdmsr", 2, { 0x0f, 0x32 } },
	{ "wrmsr", 2, { 0x0f, 0x30 } },
	{ "cli", 1, { 0xfa } },
	{ "sti", 1, { 0xfb } },
	{ "hlt", 1, { 0xf4 } },
	{ "in $0x60, al", 2, { 0xe4, 0x60 } },
	{ "out al, $0x80", 2, { 0xe6, 0x80 } },
	{ "invlpg", 3, { 0x0f, 0x01, 0x3f } },
	{ "invpcid", 5, { 0x66, 0x0f, 0x38, 0x82, 0x07 } },
	{ "swapgs", 3, { 0x0f, 0x01, 0xf8 } },
	{ "sysretq", 3, { 0x48, 0x0f, 0x07 } },
	{ "sysretl", 2, { 0x0f, 0x07 } },
	{ "sysexit", 2, { 0x0f, 0x35 } },
	{ "sysenter", 2, { 0x0f, 0x34 } },
	{ "wrpkru", 3, { 0x0f, 0x01, 0xef } },
	{ "xsetbv", 3, { 0x0f, 0x01, 0xd1 } },
	{ "stac", 3, { 0x0f, 0x01, 0xcb } },
	{ "clac", 3, { 0x0f, 0x01, 0xca } },
	{ "monitor", 3, { 0x0f, 0x01, 0xc8 } },
	{ "mwait", 3, { 0x0f, 0x01, 0xc9 } },
	{ "vmcall", 3, { 0x0f, 0x01, 0xc1 } },
	{ "vmrun", 3, { 0x0f, 0x01, 0xd8 } },
	{ "stgi", 3, { 0x0f, 0x01, 0xdc } },
	{ "int $0x02", 2, { 0xcd, 0x02 } },
	{ "int $0x08", 2, { 0xcd, 0x08 } },
	{ "int $0x0e", 2, { 0xcd, 0x0e } },
	{ "int $0x20", 2, { 0xcd, 0x20 } },
	{ "int $0x80", 2, { 0xcd, 0x80 } },
	{ "int $0xe0", 2, { 0xcd, 0xe0 } },
	/* push rax; push rdi; far call, jump, return: rax is a selector */
	{ "lcall", 6, { 0x50, 0x57, 0x48, 0xff, 0x1c, 0x24 } },
	{ "ljmp", 6, { 0x50, 0x57, 0x48, 0xff, 0x2c, 0x24 } },
	{ "mov eax, ss", 2, { 0x8e, 0xd0 } },
	{ "mov eax, ds", 2, { 0x8e, 0xd8 } },
	{ "mov eax, gs", 2, { 0x8e, 0xe8 } },
};

/* A CPU raises an exception for these as well; QEMU 10 ignores them, in any ring: there is no cache. */
static const struct forbidden ignored[] = {
	{ "invd", 2, { 0x0f, 0x08 } },
	{ "wbinvd", 2, { 0x0f, 0x09 } },
};

static void fail(const char *name, u64 ring, u64 got)
{
	print("# ring %lu: %s: 0x%lx\n", ring, name, got);
	failures++;
}

/* In ring 1: 0 if the code returned, else the vector; a page fault is 14. */
static u64 try(const u8 *code, u64 length, u64 rdi, u64 rax)
{
	u8 *page = gp(CODE_GPA + 0x800);
	u64 failed;

	memcpy(page, code, length);
	page[length] = 0xc3;
	upcall.resolve = x86_64_leave_code;
	failed = x86_64_try_code(page, rdi, rax);
	upcall.resolve = 0;
	if (!failed)
		return 0;
	return upcall.reason == L4_EXIT_FAULT ? 14 : upcall.code;
}

/* The same in ring 3, where the code ends by a system call. */
static u64 try_user(const u8 *code, u64 length, u64 rdi, u64 rax)
{
	u8 *page = gp(CODE_GPA + 0x800);
	u64 reason;

	memcpy(page, code, length);
	memcpy(page + length, "\x0f\x05", 2);
	user_call(0x800, rdi, 0);
	guest_frame->ax = rax;
	reason = enter(S0);
	return reason == L4_EXIT_SYSCALL ? 0 : reason == L4_EXIT_FAULT ? 14 : vcpu->exit_code;
}

static u32 ring(void)
{
	u32 cs;

	asm volatile("mov %%cs, %0" : "=r"(cs));
	return cs & 3;
}

static void user_stack(void)
{
	table_map(user_root, USER_STACK & ~PAGE_MASK, page_new(), LEAF_RW);
	table_map(user_root, (USER_STACK & ~PAGE_MASK) - L4_PAGE_SIZE, page_new(), LEAF_RW);
}

static void forbidden_body(struct helper *self)
{
	static const u8 lretq[] = { 0x50, 0x57, 0x48, 0xcb };

	EQ(vcpu->mode, L4_GUEST_ABOVE);
	EQ(ring(), 1);
	user_stack();
	for (u64 i = 0; i < sizeof(forbidden) / sizeof(*forbidden); i++) {
		u64 rdi = (u64)gp(LARGE_GPA), got = try(forbidden[i].code, forbidden[i].length, rdi, SELECTOR_0);

		if (got != VECTOR_GP && got != VECTOR_UD)
			fail(forbidden[i].name, 1, got);
		got = try_user(forbidden[i].code, forbidden[i].length, IMAGE, SELECTOR_0);
		if (got != VECTOR_GP && got != VECTOR_UD && got != 14)
			fail(forbidden[i].name, 3, got);
	}
	for (u64 i = 0; i < sizeof(ignored) / sizeof(*ignored); i++) {
		u64 got = try(ignored[i].code, ignored[i].length, 0, 0);

		if (got != VECTOR_GP && got != 0)
			fail(ignored[i].name, 1, got);
		EQ(try_user(ignored[i].code, ignored[i].length, 0, 0), got);
	}
	/* QEMU before 9 reads the stack of ring 3's far return as ring 0 would, which SMAP forbids for ever */
	EQ(try(lretq, sizeof(lretq), (u64)gp(LARGE_GPA), SELECTOR_0), VECTOR_GP);
	EQ(ring(), 1);
}

GUEST_TEST_AT(forbidden, x86_gate_forbidden_instructions, GUEST_ABOVE)

/* What ring 1 may do: it gives no privilege. */
static void allowed_body(struct helper *self)
{
	static const u8 rdtsc[] = { 0x0f, 0x31 }, wrgsbase[] = { 0xf3, 0x48, 0x0f, 0xae, 0xd8 };
	static const u8 popf[] = { 0x57, 0x9d, 0x9c, 0x58, 0x6a, 0x02, 0x9d }; /* of rdi, its effect, and back */

	EQ(try(rdtsc, sizeof(rdtsc), 0, 0), 0);
	EQ(try(wrgsbase, sizeof(wrgsbase), 0, 0x1234), 0);
	EQ(try(wrgsbase, sizeof(wrgsbase), 0, 0), 0);
	EQ(try(popf, sizeof(popf), ~0x100UL & 0x3fffff, 0), 0);
	EQ(x86_64_try_result & 0x3200, 0x200); /* IF on, IOPL 0 */
	EQ(x86_64_try_result & FLAGS_FREE, FLAGS_FREE & ~0x100UL);
	EQ(try(popf, sizeof(popf), 0, 0), 0);
	EQ(x86_64_try_result & 0x3200, 0x200);
}

GUEST_TEST_AT(allowed, x86_gate_flags_of_ring_1, GUEST_ABOVE)

/* push ss, sp, flags, cs, ip; iretq. rdi = ip, rax = cs, rcx and rdx are 0: ss and flags are constants. */
static void iret_body(struct helper *self)
{
	u8 code[] = { 0x48, 0x89, 0xe2,       /* mov rsp, rdx */
	              0x6a, 0,                /* push ss */
	              0x52,                   /* push rdx */
	              0x68, 0,    0,    0, 0, /* push flags */
	              0x50,                   /* push rax */
	              0x57,                   /* push rdi */
	              0x48, 0xcf };
	/* lea behind the iretq, rdi; mov rsp, rdx; push ss, rdx, flags, cs, rdi; iretq; pushf; pop rax */
	static const u8 here[] = { 0x48, 0x8d, 0x3d, 16,   0,    0,    0,    0x48, 0x89, 0xe2, 0x6a, 0x51, 0x52,
	                           0x68, 0xd7, 0x28, 0x3a, 0x00, 0x6a, 0x49, 0x57, 0x48, 0xcf, 0x9c, 0x58 };

	/* L4's privilege level in the selectors, in any combination */
	for (u32 cs = SELECTOR_0; cs < SELECTOR_0 + 4; cs++) {
		code[4] = 0x18;
		EQ(try(code, sizeof(code), IMAGE, cs), VECTOR_GP);
		code[4] = 0x2b;
		EQ(try(code, sizeof(code), IMAGE, cs), VECTOR_GP);
	}
	code[4] = 0x18; /* user mode's code with L4's stack segment */
	EQ(try(code, sizeof(code), CODE_VADDR, 0x33), VECTOR_GP);
	code[4] = 0x2b; /* to user mode at an address that is L4's, or none: exits, that the guest hears of */
	for (u64 i = 0; i < 2; i++) {
		vcpu->user_entry = (u64)x86_64_try_failed;
		try(code, sizeof(code), i ? 0x800000000000 : IMAGE, 0x33);
		EQ(ring(), 1);
	}
	/* to itself with flags of all kinds: IF is on, IOPL and VM are off */
	EQ(try(here, sizeof(here), 0, 0), 0);
	EQ(x86_64_try_result & 0x23200, 0x200);
}

GUEST_TEST_AT(iret, x86_gate_crafted_frames, GUEST_ABOVE)

/*
 * Virtual 8086 mode from ring 1, as x86_virtual_8086_mode from ring 3: it ends as user mode, whatever cs is (QEMU 7.2),
 * or by an upcall with #GP (QEMU 10). The frame is in user mode's page, since IRET of 32 bits reads 32 bits of rsp: an
 * upcall has no stack there.
 */
static void virtual_8086_body(struct helper *self)
{
	static const u8 iret[] = { 0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d, /* pushf; or AC, (rsp); popf */
	                           0x48, 0x89, 0xfc, 0xcf };                 /* mov rdi, rsp; iretl */
	u64 page = page_new();
	u8 *code = gp(page);

	table_map(user_root, 0x8000, page, LEAF_RX);
	memset(code, 0x90, L4_PAGE_SIZE / 2);
	memcpy(code + L4_PAGE_SIZE / 2, "\x0f\x0b", 2);
	vcpu->kernel_entry = (u64)x86_64_upcall_apart;
	for (u32 k = 0; k < 3 * 8; k++) {
		static const u16 selectors[] = { 0x10, 0x49, 0x33, 0x12, 0, 1, 2, 3 };
		u32 frame[9] = { 0x8000, selectors[k % 8], k < 8 ? 0x20202 : k < 16 ? 0x20302 : 0x23202, 0x8000, 0x18 };
		u32 ds;

		for (u32 n = 5; n < 9; n++)
			frame[n] = 0x70d8; /* es, ds, fs, gs */
		memcpy(code + 0xf00, frame, sizeof(frame));
		user_call(0x8000 + L4_PAGE_SIZE / 2 - CODE_VADDR, 0, 0);
		EQ(enter(S0), L4_EXIT_EXCEPTION);
		vcpu->user_entry = (u64)x86_64_try_failed;
		vcpu->exit_reason = L4_EXIT_SYSCALL;
		try(iret, sizeof(iret), 0x8f00, 0);
		EQ(ring(), 1);
		EQ(vcpu->exit_reason, L4_EXIT_EXCEPTION);
		/* ds, es, fs and gs are left as they were there; L4 cannot load them when this thread runs again */
		ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
		ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
		vcpu->pending = 0;
		vcpu->events.word[0] = 0;
		asm volatile("mov %%ds, %0" : "=r"(ds));
		EQ(ds, 0);
	}
}

GUEST_TEST_AT(virtual_8086, x86_gate_virtual_8086_mode, GUEST_ABOVE)

/*
 * There is no local descriptor table. Reset leaves one at address 0, of 64 KiB: memory of user mode, in which each ring
 * could have a call gate to ring 0. AC lets QEMU read it for ring 1 where SMAP is on.
 */
static void local_descriptors_body(struct helper *self)
{
	static const u8 load[] = { 0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d, 0x8e, 0xd8 }; /* AC; mov eax, ds */
	static const u8 call[] = {
		0x9c, 0x81, 0x0c, 0x24, 0,    0,    4,    0,    0x9d, /* AC */
		0x50, 0x57, 0x48, 0xff, 0x1c, 0x24, 0x48, 0x83, 0xc4, 0x10
	}; /* push; far call; add */
	u64 page = page_new(), *table = gp(page), code = (u64)gp(CODE_GPA + 0xc00);

	table_map(user_root, 0x8000, page, LEAF_RW);
	table[0] = 0x00cff3000000ffff;
	table[2] = (code & 0xffff) | 0x10UL << 16 | 0xec00UL << 32 | (code >> 16 & 0xffff) << 48;
	table[3] = code >> 32;
	memcpy((void *)code, "\x48\xcb", 2); /* far return */
	user_stack();
	user_call(PROGRAM(load), 0x8000, 0);
	EQ(enter(S0), L4_EXIT_SYSCALL);
	vcpu->user_entry = (u64)x86_64_try_failed;
	for (u32 level = 0; level < 4; level++) {
		EQ(try(load, sizeof(load), 0, 0x8004 | level), VECTOR_GP);
		EQ(try(call, sizeof(call), 0, 0x8014 | level), VECTOR_GP);
		EQ(ring(), 1);
		EQ(try_user(load, sizeof(load), 0, 0x8004 | level), VECTOR_GP);
		EQ(try_user(call, sizeof(call), 0, 0x8014 | level), VECTOR_GP);
	}
}

GUEST_TEST_AT(local_descriptors, x86_gate_no_local_descriptors, GUEST_ABOVE)

/* All pages of the image, its neighbours and the direct map, from ring 1 and from ring 3. */
static void memory_body(struct helper *self)
{
	static const u64 hidden[] = { 0xffff800000000000, 0xffff800000200000, 0xffff80003fe00000, 0xffffffff80000000,
	                              0xffffffff80400000, 0xffffffffbfe00000, 0xffffffffbfe02000, 0xffffffffbfdff000,
	                              0xffffffff00000000, 0xffffffffffe00000, 0xfffffffffffff000, 0xffff910000000000,
	                              0xffff8fffffffff00, 0xffffff8000000000 };
	static const u8 jump[] = { 0xff, 0xe7 }; /* jmp *rdi */
	u64 readable = 0, writable = 0, value;

	for (u64 at = IMAGE; at < IMAGE + IMAGE_SIZE; at += L4_PAGE_SIZE) {
		if (arch_try_load(at + 8, &value))
			continue;
		readable++;
		CHECK(!user_load(S0, at + 8, &value));
		CHECK(!user_store(S0, at + 8, value));
		if (arch_try_store(at + 8, value)) {
			EQ(upcall.access & L4_RIGHT_WRITE, L4_RIGHT_WRITE);
			continue;
		}
		writable++;
		/* what can be written cannot be executed; a call of it pushes nothing that stays */
		EQ(try(jump, sizeof(jump), at + 8, 0), 14);
		EQ(upcall.access & L4_RIGHT_EXEC, L4_RIGHT_EXEC);
	}
	CHECK(readable > STACKS && readable <= GATE_PAGES);
	EQ(writable, STACKS);
	EQ(arch_try_load(L4_GATE_USER_SP, &value), 0);
	EQ(arch_try_store(L4_GATE_USER_SP, value), 0);
	EQ(try(jump, sizeof(jump), L4_GATE_USER_SP, 0), 14);
	CHECK(!user_load(S0, L4_GATE_USER_SP, &value));
	for (u64 i = 0; i < sizeof(hidden) / 8; i++) {
		EQ(arch_try_load(hidden[i], &value), 1);
		EQ(arch_try_store(hidden[i], 1), 1);
		EQ(try(jump, sizeof(jump), hidden[i], 0), 14);
		CHECK(!user_load(S0, hidden[i], &value));
	}
	/* the guest kernel's own pages from ring 3 */
	CHECK(!user_load(S0, (u64)vcpu, &value));
	CHECK(!user_load(S0, guest_ram, &value));
	CHECK(!user_store(S0, (u64)shared, 1));
	user_call((u64)memory_body - CODE_VADDR, 0, 0);
	CHECK(enter(S0) != L4_EXIT_SYSCALL);
}

GUEST_TEST_AT(memory, x86_gate_is_all_that_ring_1_reaches_of_l4, GUEST_ABOVE)

/* All that ring 1 can write, filled with garbage: L4 decides nothing on it. */
static void garbage_body(struct helper *self)
{
	u64 value;

	for (int round = 0; round < 3; round++) {
		for (u64 at = IMAGE; at < IMAGE + IMAGE_SIZE; at += L4_PAGE_SIZE) {
			if (arch_try_load(at, &value) || arch_try_store(at, value))
				continue;
			for (u64 i = 0; i < L4_PAGE_SIZE; i += 8)
				*(volatile u64 *)(at + i) = round ? 0xccccccccccccccc0 + round : SELECTOR_0;
		}
		for (u64 i = 0; i < L4_PAGE_SIZE; i += 8)
			*(volatile u64 *)(L4_GATE_USER_SP + i) = 0xcccccccccccccccc;
		user_call(PROGRAM(load), CODE_VADDR, 0);
		EQ(enter(S0), L4_EXIT_SYSCALL);
		EQ(guest_frame->sp, USER_STACK - 8);
		user_call(PROGRAM(trap), 0, 0);
		EQ(enter(S0), L4_EXIT_EXCEPTION);
		CHECK(!user_load(S0, DATA_VADDR, &value));
		user_call(PROGRAM(spin), 0, 0);
		ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 5000), OK);
		EQ(enter(S0), L4_EXIT_EVENT);
		vcpu->pending = 0;
		vcpu->events.word[0] = 0;
		EQ(arch_try_trap(), 1);
	}
}

GUEST_TEST_AT(garbage, x86_gate_garbage_in_all_that_ring_1_writes, GUEST_ABOVE)

/* What a guest's ring 1 wrote, or the CPU pushed there for it, is not there for another guest's. */
#define SECRET 0x5ec2e75000UL

static void writer_body(struct helper *self)
{
	u64 value;

	for (u64 at = IMAGE; at < IMAGE + IMAGE_SIZE; at += L4_PAGE_SIZE)
		for (u64 i = 0; i < L4_PAGE_SIZE && !arch_try_load(at, &value) && !arch_try_store(at, value); i += 8)
			*(volatile u64 *)(at + i) = SECRET;
	for (u64 i = 0; i < L4_PAGE_SIZE; i += 8)
		*(volatile u64 *)(L4_GATE_USER_SP + i) = SECRET;
	/* rdi is the address: L4's entry for faults needs the register */
	CHECK(!user_load(S0, SECRET, &value));
	shared[1] = 1;
}

static void reader_body(struct helper *self)
{
	u64 value, pages = 0, found = 0;

	for (u64 at = IMAGE; at < IMAGE + IMAGE_SIZE; at += L4_PAGE_SIZE) {
		if (arch_try_load(at, &value))
			continue;
		pages++;
		for (u64 i = 0; i < L4_PAGE_SIZE; i += 8)
			found += *(volatile u64 *)(at + i) == SECRET;
	}
	for (u64 i = 0; i < L4_PAGE_SIZE; i += 8)
		found += *(volatile u64 *)(L4_GATE_USER_SP + i) == SECRET;
	CHECK(pages > STACKS);
	EQ(found, 0);
}

TEST(x86_gate_has_nothing_of_another_guest)
{
	guest_make_at(writer_body, GUEST_ABOVE);
	guest_run();
	EQ(shared[1], 1);
	guest_make_at(reader_body, GUEST_ABOVE);
	guest_run();
}

/* Ring 1 with a null SS has the privileges that L4's probe found. */
static u64 weak;

static void null_stack_segment_body(struct helper *self)
{
	/* mov $1, %eax; mov %eax, %ss; mov %cr0, %rax; then IRETQ to ring 1 */
	static const u8 code[] = { 0xb8, 1,    0,    0,    0,    0x8e, 0xd0, 0x0f, 0x20, 0xc0,
	                           0x48, 0x89, 0xe1, 0x6a, 0x51, 0x51, 0x9c, 0x6a, 0x49, 0x48,
	                           0x8d, 0x05, 3,    0,    0,    0,    0x50, 0x48, 0xcf };

	EQ(try(code, sizeof(code), 0, 0), weak ? 0 : VECTOR_GP);
}

TEST(x86_gate_holds_as_the_probe_says)
{
	weak = boot_info->weak_modes >> L4_GUEST_ABOVE & 1;
	print("# mode above %s\n", weak ? "does not hold" : "holds");
	guest_make_at(null_stack_segment_body, GUEST_ABOVE);
	guest_run();
}

/* Stack pointers of ring 3 and ring 1 that point anywhere: the gate uses none of them. */
static void stacks_body(struct helper *self)
{
	static const u64 sp[] = { 0,
	                          8,
	                          0xdead000000000000,
	                          IMAGE,
	                          L4_GATE_USER_SP,
	                          L4_GATE_FAULT_FRAME,
	                          0xffff800000000000,
	                          0x7fffffffffff,
	                          ~0UL };
	static const u8 traps[] = { 0x48, 0x89, 0xfc, 0x0f, 0x0b };                    /* mov rdi, rsp; ud2 */
	static const u8 calls[] = { 0x48, 0x89, 0xfc, 0xb8, 10, 0, 0, 0, 0x0f, 0x05 }; /* ; mov YIELD, eax; syscall */

	vcpu->kernel_entry = (u64)x86_64_upcall_apart;
	for (u64 i = 0; i < sizeof(sp) / 8; i++) {
		user_call(PROGRAM(load), CODE_VADDR, 0);
		guest_frame->sp = sp[i];
		EQ(enter(S0), L4_EXIT_SYSCALL);
		EQ(guest_frame->sp, sp[i]);
		user_call(PROGRAM(load), CODE_VADDR, 0);
		guest_frame->sp = sp[i];
		guest_frame->flags = 0x302; /* a debug exception before and behind the system call */
		for (int n = 0; n < 3 && enter(S0) == L4_EXIT_EXCEPTION; n++)
			EQ(guest_frame->sp, sp[i]);
		EQ(try(traps, sizeof(traps), sp[i], 0), VECTOR_UD);
		EQ(vcpu->kernel_frame.sp, sp[i]);
		/* a call of L4, and then the return on that stack */
		CHECK(try(calls, sizeof(calls), sp[i], 0) != VECTOR_UD);
	}
}

GUEST_TEST_AT(stacks, x86_gate_hostile_stack_pointers, GUEST_ABOVE)

/* No port is open: the TSS has no I/O bitmap, and nothing behind its end is taken for one. */
static void ports_body(struct helper *self)
{
	static const u8 in[] = { 0x89, 0xfa, 0xec }, out[] = { 0x89, 0xfa, 0xee }; /* mov edi, edx; in or out */

	for (u64 port = 0; port < 65536; port += port < 1024 ? 31 : 1021) {
		EQ(try(in, sizeof(in), port, 0), VECTOR_GP);
		EQ(try(out, sizeof(out), port, 0), VECTOR_GP);
	}
	EQ(try(in, sizeof(in), 65535, 0), VECTOR_GP);
	EQ(try_user(in, sizeof(in), 0x70, 0), VECTOR_GP);
}

GUEST_TEST_AT(ports, x86_gate_no_port_is_open, GUEST_ABOVE)

/* Ring 3 at the last bytes below the hole: the page is not user mode's, as its SYSCALL would be taken for ring 1's else. */
static void hole_body(struct helper *self)
{
	u64 page = page_new();

	memcpy((u8 *)gp(page) + 4094, "\x0f\x05", 2);
	table_map(user_root, L4_USER_TOP, page, LEAF_RX);
	user_call(L4_USER_TOP + 4094 - CODE_VADDR, 0, 0);
	EQ(enter(S0), L4_EXIT_FAULT);
	table_map(user_root, L4_USER_TOP - L4_PAGE_SIZE, page, LEAF_RX);
	user_call(L4_USER_TOP - 2 - CODE_VADDR, 0, 0);
	EQ(enter(S0), L4_EXIT_SYSCALL);
	EQ(guest_frame->ip, L4_USER_TOP);
}

GUEST_TEST_AT(hole, x86_gate_system_call_below_the_hole, GUEST_ABOVE)

/* Goes to an address on a stack on which nothing is. Ends at an exception, an exit or an event. */
static void jump_to(u64 at)
{
	u8 *stack = gp(LARGE_GPA);

	memset(stack, 0, L4_PAGE_SIZE);
	/* The gate's first part is a system call's way into ring 1's entry, which goes on there. */
	vcpu->user_entry = (u64)x86_64_try_failed;
	vcpu->kernel_sp = (u64)stack + L4_PAGE_SIZE;
	/* A try before may have ended first: none of its event comes into this one. */
	SYS(L4_SYS_VCPU_TIMER, 0, ALL_ONES);
	vcpu->pending = 0;
	upcall.reason = ALL_ONES;
	upcall.resolve = upcall.event = x86_64_leave_code;
	EQ(x86_64_try_code(x86_64_jump, at, (u64)stack + L4_PAGE_SIZE / 2), 1);
	upcall.resolve = upcall.event = 0;
}

/*
 * The gate's own instructions, executed by ring 1, have its privilege: jumps to every byte of its first part. In the
 * middle of an instruction there may be a loop.
 */
static void gate_text_body(struct helper *self)
{
	u64 text = 0, value;

	for (u64 at = IMAGE; at < IMAGE + IMAGE_SIZE && !text; at += L4_PAGE_SIZE)
		if (!arch_try_load(at, &value))
			text = at;
	CHECK(text);
	vcpu->kernel_entry = (u64)x86_64_upcall_apart;
	memcpy(gp(CODE_GPA + 0x800), "\xeb\xfe", 2); /* jmp to itself */
	jump_to((u64)gp(CODE_GPA + 0x800));
	EQ(upcall.reason, L4_EXIT_EVENT);
	for (u64 i = 0; i < 0x100; i++) {
		jump_to(text + i);
		if (!EQ(ring(), 1))
			return;
	}
}

GUEST_TEST_AT(gate_text, x86_gate_text_executed_by_ring_1, GUEST_ABOVE)
