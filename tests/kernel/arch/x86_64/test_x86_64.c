/* SPDX-License-Identifier: GPL-2.0-only */
/* What only x86_64 can get wrong: flags, segments, canonical addresses, privileged instructions. */
#include "guest.h"

#define FLAGS_IF          0x200UL
#define FLAGS_IOPL        0x3000UL
#define FLAGS_NT          0x4000UL
#define FLAGS_TF          0x100UL
#define FLAGS_DF          0x400UL
#define FLAGS_AC          0x40000UL
#define VECTOR_DEBUG      1
#define VECTOR_PROTECTION 13

/* User programs that are written into the code page as bytes. */
static u64 program(const u8 *bytes, u64 count)
{
	memcpy(gp(CODE_GPA + 0x800), bytes, count);
	return 0x800;
}

static u64 run(const u8 *bytes, u64 count, u64 flags)
{
	user_call(program(bytes, count), 0x1111, 0x2222);
	guest_frame->flags = flags;
	guest_frame->cs = 0x8;
	guest_frame->ss = 0;
	return enter(guest.space[0]);
}

GUEST_TEST(x86_user_frame_is_sanitised)
{
	static const u8 cli[] = { 0xfa, 0x0f, 0x05 }, in[] = { 0xe4, 0x80, 0x0f, 0x05 };
	static const u8 flags[] = { 0x9c, 0x58, 0x0f, 0x05 }; /* pushf; pop %rax; syscall */
	static const u8 compat[] = {
		0x6a, 0x00, 0x66, 0xc7, 0x44, 0x24, 0x04, 0x23, 0x00, 0xff, 0x2c, 0x24
	}; /* push $0; movw $0x23, 4(%rsp); ljmp *(%rsp) */

	/* user mode has no privilege and interrupts stay on, whatever bits the frame has */
	EQ(run(cli, sizeof(cli), FLAGS_IOPL), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, VECTOR_PROTECTION);
	EQ(run(in, sizeof(in), FLAGS_IOPL | FLAGS_IF), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, VECTOR_PROTECTION);
	table_map(user_root, USER_STACK & ~PAGE_MASK, page_new(), LEAF_RW);
	table_map(user_root, (USER_STACK & ~PAGE_MASK) - L4_PAGE_SIZE, page_new(), LEAF_RW);
	EQ(run(flags, sizeof(flags), ~0UL & ~FLAGS_TF & ~FLAGS_AC), L4_EXIT_SYSCALL);
	EQ(guest_frame->ax & FLAGS_IOPL, 0);
	EQ(guest_frame->ax & FLAGS_NT, FLAGS_NT);
	EQ(guest_frame->ax & FLAGS_IF, FLAGS_IF);
	EQ(guest_frame->cs & 3, 3);
	/* there is no 32-bit user code, whose SYSCALL would enter the kernel elsewhere */
	EQ(run(compat, sizeof(compat), 0), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, VECTOR_PROTECTION);
}

GUEST_TEST(x86_user_registers_round_trip)
{
	static const u8 call[] = { 0x0f, 0x05 };
	u64 *f = (u64 *)guest_frame;

	user_call(program(call, sizeof(call)), 0, 0);
	for (u64 i = 0; i < 16; i++)
		if (&f[i] != &guest_frame->orig_ax)
			f[i] = 0xabcd0000 + i;
	guest_frame->sp = 0x123456;
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	for (u64 i = 0; i < 15; i++)
		if (&f[i] != &guest_frame->cx && &f[i] != &guest_frame->r11)
			EQ(f[i], 0xabcd0000 + i);
	EQ(guest_frame->orig_ax, guest_frame->ax);
	EQ(guest_frame->sp, 0x123456);
	EQ(guest_frame->ip, CODE_VADDR + 0x802);
}

/* Only a system call changes rcx and r11. */
GUEST_TEST(x86_events_keep_all_user_registers)
{
	static const u8 spin[] = { 0xeb, 0xfe };
	u64 *f = (u64 *)guest_frame;

	user_call(program(spin, sizeof(spin)), 0, 0);
	for (u64 i = 0; i < 15; i++)
		f[i] = 0xabcd0000 + i;
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	for (u64 i = 0; i < 15; i++)
		EQ(f[i], 0xabcd0000 + i);
	EQ(guest_frame->ip, CODE_VADDR + 0x800);
}

GUEST_TEST(x86_single_step)
{
	static const u8 nops[] = { 0x90, 0x90, 0x90, 0x0f, 0x05 };

	EQ(run(nops, sizeof(nops), FLAGS_TF), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, VECTOR_DEBUG);
	EQ(guest_frame->ip, CODE_VADDR + 0x801);
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(guest_frame->ip, CODE_VADDR + 0x802);
}

/* A single-stepped SYSCALL, and one with every flag set, must not confuse L4's entry. */
GUEST_TEST(x86_syscall_with_odd_flags)
{
	static const u8 call[] = { 0x0f, 0x05 };
	static const u64 odd[] = { FLAGS_TF, FLAGS_DF, FLAGS_AC, FLAGS_TF | FLAGS_DF | FLAGS_AC, FLAGS_NT };

	for (u64 i = 0; i < sizeof(odd) / 8; i++) {
		u64 reason = run(call, sizeof(call), odd[i]);

		CHECK(reason == L4_EXIT_SYSCALL || (reason == L4_EXIT_EXCEPTION && vcpu->exit_code == VECTOR_DEBUG));
	}
}

/* quoll-debug.elf asserts that exceptions and interrupts leave AC, which turns SMAP off, and DF behind. */
GUEST_TEST(x86_exceptions_with_odd_flags)
{
	static const u8 trap[] = { 0x0f, 0x0b }, spin[] = { 0xeb, 0xfe };

	EQ(run(trap, sizeof(trap), FLAGS_DF | FLAGS_AC), L4_EXIT_EXCEPTION);
	user_call(PROGRAM(load), DATA_VADDR, 0);
	guest_frame->flags = FLAGS_DF | FLAGS_AC;
	EQ(enter(guest.space[0]), L4_EXIT_FAULT);
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
	EQ(run(spin, sizeof(spin), FLAGS_DF | FLAGS_AC), L4_EXIT_EVENT);
	EQ(guest_frame->flags & (FLAGS_DF | FLAGS_AC), FLAGS_DF | FLAGS_AC);
}

static u64 selectors(void)
{
	u32 ds, es, fs, gs;

	asm volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3" : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	return ds | (u64)es << 16 | (u64)fs << 32 | (u64)gs << 48;
}

static void other_selectors(struct helper *self)
{
	shared[0] = selectors();
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(1));
	arch_tls_set(0x1234);
	for (;;) {
		SYS(L4_SYS_SIGNAL, self->arg[0], 0);
		SYS(L4_SYS_WAIT, self->arg[0] + 1, 0);
		shared[1] = selectors();
		shared[2] = arch_tls_get();
	}
}

/* Segment registers and their bases are each thread's own, across switches between address spaces. */
TEST(x86_selectors_are_a_threads_own)
{
	u64 done = slots_new(2);

	MUST(retype(test_untyped, L4_TYPE_NOTIFICATION, 0, done, 2));
	helper_start(helper_fork(other_selectors, done, 100));
	asm volatile("mov %0, %%ds; mov %1, %%es; mov %0, %%fs; mov %1, %%gs" : : "r"(0x2b), "r"(3));
	arch_tls_set(0x5678);
	for (int i = 0; i < 3; i++) {
		SYS(L4_SYS_WAIT, done, 0);
		EQ(selectors(), 0x0003002b0003002b);
		EQ(arch_tls_get(), 0x5678);
		SYS(L4_SYS_SIGNAL, done + 1, 0);
	}
	EQ(shared[0], 0);
	EQ(shared[1], 0x0001000100010001);
	EQ(shared[2], 0x1234);
	asm volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%fs; mov %0, %%gs" : : "r"(0));
}

GUEST_TEST(x86_non_canonical_user_addresses)
{
	static const u64 bad[] = { 0x800000000000, 0x7fffffffffff, 0xffff7fffffffffff, 0x8000000000000000 };
	u64 reason;

	for (u64 i = 0; i < sizeof(bad) / 8; i++) {
		user_call(PROGRAM(load), bad[i], 0);
		reason = enter(guest.space[0]);
		CHECK(reason == L4_EXIT_EXCEPTION || reason == L4_EXIT_FAULT);
		/* as a stack pointer it is harmless until used */
		user_call(PROGRAM(load), CODE_VADDR, 0);
		guest_frame->sp = bad[i];
		EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
		EQ(guest_frame->sp, bad[i]);
	}
}

GUEST_TEST(x86_guest_kernel_frame_is_sanitised)
{
	u64 flags;

	/* An upcall's frame comes back with privileged bits set: RESUME must drop them. */
	vcpu->irq_enabled = 0;
	EQ(arch_try_trap(), 1);
	vcpu->kernel_frame.cs = 0x8;
	vcpu->kernel_frame.ss = 0x10;
	EQ(arch_try_trap(), 1);
	asm volatile("pushf; pop %0" : "=r"(flags));
	EQ(flags & FLAGS_IOPL, 0);
	EQ(flags & FLAGS_IF, FLAGS_IF);
}

static void user_privileged(struct helper *self)
{
	switch (self->arg[0]) {
	case 0:
		asm volatile("cli");
		break;
	case 1:
		asm volatile("hlt");
		break;
	case 2:
		asm volatile("outb %al, $0x80");
		break;
	case 3:
		asm volatile("mov %%cr3, %%rax" : : : "rax");
		break;
	case 4:
		asm volatile("wrmsr" : : "a"(0), "d"(0), "c"(0xc0000080));
		break;
	case 5:
		asm volatile("mov %0, %%ss" : : "r"(0x10UL));
		break;
	case 6:
		asm volatile("lidt (%0)" : : "r"(&shared[8]));
		break;
	case 7:
		asm volatile("swapgs");
		break;
	case 8:
		asm volatile("int $0x20");
		break;
	case 9:
		asm volatile("mov (%0), %0" : : "r"(0x800000000000UL));
		break;
	}
	shared[1]++;
}

TEST(x86_privileged_instructions_fault)
{
	for (u64 i = 0; i < 10; i++) {
		struct helper *h = helper_make(user_privileged, i, 100);
		struct sys r;

		helper_start(h);
		r = helper_fault(h);
		EQ(LABEL(r.tag), L4_FAULT_EXCEPTION);
		EQ(r.m[0], VECTOR_PROTECTION);
		helper_forget();
	}
	EQ(shared[1], 0);
}

static void spins(struct helper *self)
{
	for (;;)
		shared[1]++;
}

/* WRITE_REGS with every bit set gives a thread no privilege, and does not stop L4. */
TEST(x86_written_registers_are_sanitised)
{
	static const u64 bad_ip[] = { 0x800000000000, 0xffffffff80000000, ~0UL, 0x8000000000000000, L4_USER_TOP };
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR];

	for (u64 i = 0; i < sizeof(bad_ip) / 8; i++) {
		struct helper *h = helper_make(spins, 0, 100);

		MUST(INV(h->thread, L4_THREAD_READ_REGS));
		f->ip = bad_ip[i];
		f->cs = 8;
		f->ss = 0x10;
		f->flags = ~0UL & ~FLAGS_TF;
		MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
		helper_start(h);
		CHECK(LABEL(helper_fault(h).tag) != LABEL_DONE);
		helper_forget();
	}
	struct helper *h = helper_make(user_privileged, 0, 100);

	MUST(INV(h->thread, L4_THREAD_READ_REGS));
	f->flags = FLAGS_IOPL;
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	helper_start(h);
	EQ(LABEL(helper_fault(h).tag), L4_FAULT_EXCEPTION);
	EQ(shared[1], 0);
}

/* The root system description pointer of ACPI, read through a device Frame. */
TEST(x86_firmware_table)
{
	u64 at = boot_info->firmware_table;

	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *b = &boot_info->untyped[i];
		u64 f = slot_new();

		if (b->kind != L4_MEM_DEVICE || at < b->paddr || at - b->paddr >= 1UL << b->size_bits ||
		    b->size_bits > 23)
			continue;
		MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, b->size_bits, f, 1));
		EQ(frame_map(f, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
		EQ(memcmp((void *)(TEST_VADDR + at - b->paddr), "RSD PTR ", 8), 0);
		ERR(slot_revoke(L4_ROOT_SLOT_UNTYPED + i), OK);
		return;
	}
	CHECK(!"a device Untyped with the firmware's table");
}

/* The frame's privileged bits, set by another while user mode is preempted, are dropped on the way back. */
static void sets_privileged_bits(struct helper *self)
{
	volatile struct l4_frame *frame = (volatile void *)(TEST_VADDR + FRAME_END_GPA - sizeof(struct l4_frame));

	while (!shared[1])
		SYS(L4_SYS_YIELD, 0, 0);
	for (int i = 0; i < 4; i++)
		SYS(L4_SYS_YIELD, 0, 0);
	frame->cs = 0x10;
	frame->ss = 0x18;
	frame->flags = FLAGS_IOPL | FLAGS_NT;
	frame->ip = CODE_VADDR + 0x800;
	shared[3] = 1;
}

static void has_privileged_bits_set(struct helper *self)
{
	static const u8 cli[] = { 0xfa, 0x0f, 0x05 };

	program(cli, sizeof(cli));
	user_call(PROGRAM(spin), 0, 0);
	shared[1] = 1;
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, VECTOR_PROTECTION);
	EQ(guest_frame->ip, CODE_VADDR + 0x800);
	EQ(guest_frame->flags & FLAGS_IOPL, 0);
}

TEST(x86_privileged_bits_set_while_user_mode_is_preempted)
{
	struct helper *h;

	guest_make(has_privileged_bits_set);
	MUST(INV(L4_ROOT_SLOT_VSPACE, L4_VSPACE_MAP, guest.ram, TEST_VADDR, L4_RIGHT_READ | L4_RIGHT_WRITE));
	h = helper_make(sets_privileged_bits, 0, 100);
	helper_start(guest.helper);
	helper_start(h);
	helper_join(h);
	EQ(shared[3], 1);
	helper_join(guest.helper);
}

/* L4 compares all 64 bits of a system call's number. */
GUEST_TEST(x86_syscall_numbers_are_64_bits)
{
	ERR(SYS((1UL << 32) + L4_SYS_YIELD, 0, 0), SYSCALL);
	ERR(SYS((1UL << 32) + L4_SYS_VCPU_WAIT, 0, 0), SYSCALL);
}

/*
 * IRET of 32 bits with VM in the flags: a CPU ignores VM, and most of the selectors raise #GP. QEMU goes to virtual
 * 8086 mode with any selector, from ring 3 and in 64-bit mode: L4's own in cs does not tell that L4 was interrupted.
 * QEMU before 9 does so without SMAP only; with it the instruction faults until the timer ends it.
 */
#define LOW_CODE  0x8000UL /* what eip of 16 bits reaches */
#define LOW_FRAME 0x6000UL

static void fill_code(u64 gpa, const char *instruction)
{
	for (u32 i = 0; i < L4_PAGE_SIZE; i += 2)
		memcpy((u8 *)gp(gpa) + i, instruction, 2);
}

GUEST_TEST(x86_virtual_8086_mode)
{
	static const u8 iret[] = { 0x48, 0x89, 0xfc, 0xcf };                              /* mov rdi, rsp; iretl */
	static const char code[][3] = { "\x0f\x0b", "\x0f\x05", "\x90\x90", "\xeb\xfe" }; /* ud2, syscall, nop, jmp . */
	static const u32 flags[] = { 0x20202, 0x20302, 0x23202 };                         /* VM and IF; TF; IOPL */
	u64 page = page_new(), stack = page_new();

	table_map(user_root, LOW_CODE, page, LEAF_RX);
	table_map(user_root, LOW_FRAME, stack, LEAF_RW);
	for (u32 k = 0; k < 4 * 3 * 4; k++) {
		u32 frame[9] = { LOW_CODE, 0x10 + k % 4, flags[k / 4 % 3], LOW_FRAME, 0x18 };

		/* both pages are filled, so that the first exception is the one that is meant */
		fill_code(page, "\x0f\x0b");
		user_call(LOW_CODE - CODE_VADDR, 0, 0);
		EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
		user_call(PROGRAM(store), LOW_FRAME + 64, 0);
		EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
		fill_code(page, code[k / 12]);
		memcpy(gp(stack), frame, sizeof(frame));
		ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
		user_call(program(iret, sizeof(iret)), LOW_FRAME, 0);
		enter(guest.space[0]);
		CHECK(guest_frame->cs & 3);
		ERR(SYS(L4_SYS_VCPU_TIMER, 0, ALL_ONES), OK);
		vcpu->pending = 0;
		vcpu->events.word[0] = 0;
	}
}

#define LEGACY_AREA 512
#define XSAVE_AREA  (LEGACY_AREA + 64)
#define AREA_XMM    160 /* SDM vol. 1, 13.4.1 */
#define ALL         "a"(3), "d"(0)

/* Not by OSXSAVE: a thread without the registers may read 0 there. */
static bool has_xsave(void)
{
	u32 eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ecx >> 26 & 1;
}

static void fills_and_looks(struct helper *self)
{
	arch_fpu_fill(0x123456780000);
	shared[3] = 1;
	while (shared[3] != 2)
		SYS(L4_SYS_YIELD, 0, 0);
	EQ(arch_fpu_differ(0x123456780000), 0);
	shared[4] = 1;
}

/* With the first instructions of the thread that touch the registers, none of which need be reported by CR0.TS. */
static void saves_and_loads(struct helper *self)
{
	static u8 area[XSAVE_AREA] __attribute__((aligned(64)));
	u64 word;

	while (shared[3] != 1)
		SYS(L4_SYS_YIELD, 0, 0);
	__asm__ volatile("xsave64 %0" : "+m"(area) : ALL : "memory");
	for (u32 i = 0; i < ARCH_FPU_REGISTERS; i++) {
		memcpy(&word, area + AREA_XMM + 16 * i, sizeof(word));
		EQ(word, 0);
	}
	memset(area + AREA_XMM, 0x5a, 16 * ARCH_FPU_REGISTERS);
	area[LEGACY_AREA] = 3;
	__asm__ volatile("xrstor64 %0" : : "m"(area), ALL : "memory");
	shared[3] = 2;
}

/* XSAVE and XRSTOR are of the thread's own registers, though QEMU's emulation does not look at CR0.TS for them. */
TEST(x86_xsave_reaches_no_other_threads_registers)
{
	struct helper *a, *b;

	if (!has_xsave())
		return;
	a = helper_fork(fills_and_looks, 0, 100);
	b = helper_fork(saves_and_loads, 0, 100);
	helper_start(a);
	helper_start(b);
	helper_join(b);
	helper_join(a);
	EQ(shared[4], 1);
}

static void asks_for_xsave(struct helper *self)
{
	u32 eax = 1, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	EQ(ecx >> 27 & 1, has_xsave());
}

/* By CPUID, as programs do: OSXSAVE is clear in other threads, where CR4.OSXSAVE keeps the registers from them. */
TEST(x86_guest_has_xsave_whenever_it_runs)
{
	guest_make_at(asks_for_xsave, GUEST_LOW);
	arch_fpu_fill(0x1234);
	guest_run();
}
