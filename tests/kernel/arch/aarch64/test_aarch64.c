/* SPDX-License-Identifier: GPL-2.0-only */
/* What only aarch64 can get wrong: pstate, system registers, tagged addresses, single steps. */
#include "guest.h"

#define EC_UNKNOWN    0x00
#define EC_WFI        0x01
#define EC_SYSREG     0x18
#define EC_SVE        0x19
#define EC_PC         0x22
#define EC_DATA       0x24
#define EC_STEP       0x32
#define EC_BRK        0x3c
#define PSTATE_SS     (1UL << 21)
#define PSTATE_FLAGS  0xf0000000UL
#define PSTATE_EL1H   0x3c5UL
#define FSC_ALIGNMENT 0x21

#define SVC     0xd4000001
#define NOP     0xd503201f
#define DAIFSET 0xd5034fdf

/* User programs that are written into the code page as instructions. */
#define PROGRAM_AT 0x800UL

static u64 run(const u32 *code, u64 count, u64 pstate)
{
	memcpy(gp(CODE_GPA + PROGRAM_AT), code, count * 4);
	l4_code_written(gp(CODE_GPA + PROGRAM_AT), count * 4);
	user_call(PROGRAM_AT, DATA_VADDR, 0x2222);
	guest_frame->pstate = pstate;
	return enter(guest.space[0]);
}

GUEST_TEST(aarch64_user_frame_is_sanitised)
{
	static const u32 call[] = { SVC }, mask[] = { DAIFSET, SVC };

	/* user mode has no privilege and interrupts stay on, whatever bits the frame has */
	EQ(run(call, 1, ~PSTATE_SS), L4_EXIT_SYSCALL);
	EQ(guest_frame->pstate & 0xffffffff & ~0x01000000UL, PSTATE_FLAGS);
	EQ(run(call, 1, PSTATE_EL1H), L4_EXIT_SYSCALL);
	EQ(guest_frame->pstate, 0);
	EQ(run(mask, 2, PSTATE_EL1H), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, EC_SYSREG);
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT);
	EQ(run(call, 1, 0x10), L4_EXIT_SYSCALL); /* AArch32 */
	EQ(guest_frame->pstate, 0);
}

static void fill_registers(void)
{
	for (u64 i = 0; i < 31; i++)
		(&guest_frame->x0)[i] = 0xabcd0000 + i;
	guest_frame->sp = 0x123456;
}

static void check_registers(void)
{
	for (u64 i = 0; i < 31; i++)
		EQ((&guest_frame->x0)[i], 0xabcd0000 + i);
	EQ(guest_frame->sp, 0x123456);
}

GUEST_TEST(aarch64_user_registers_round_trip)
{
	static const u32 call[] = { SVC };

	run(call, 1, 0);
	fill_registers();
	guest_frame->pc = CODE_VADDR + PROGRAM_AT;
	guest_frame->pstate = PSTATE_FLAGS;
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	check_registers();
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT + 4);
	EQ(guest_frame->pstate, PSTATE_FLAGS);
}

GUEST_TEST(aarch64_events_keep_all_user_registers)
{
	user_call(PROGRAM(spin), 0, 0);
	fill_registers();
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	check_registers();
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM(spin));
}

/* The guest kernel gets nothing of L4's registers with a system call exit. */
GUEST_TEST(aarch64_syscall_exit_shows_no_kernel_address)
{
	u64 r[31];

	user_call(PROGRAM(load), CODE_VADDR, 0);
	vcpu->irq_enabled = 0;
	aarch64_vcpu_enter_registers((struct l4_vcpu_page *)vcpu, guest.space[0], r);
	EQ(r[0], L4_EXIT_SYSCALL);
	for (u64 i = 1; i < 31; i++)
		CHECK(r[i] >> 48 != 0xffff);
}

GUEST_TEST(aarch64_single_step)
{
	static const u32 nops[] = { NOP, NOP, NOP, SVC, NOP, SVC };
	static const u32 straight[] = { NOP, NOP, SVC };

	EQ(run(nops, 6, PSTATE_SS), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, EC_STEP);
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT + 4);
	guest_frame->pstate |= PSTATE_SS;
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT + 8);
	/* not asked for again: it goes on */
	guest_frame->pstate &= ~PSTATE_SS;
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT + 16);
	/* a system call, a page fault and an undefined instruction are more urgent than the step */
	guest_frame->pc -= 4;
	guest_frame->pstate |= PSTATE_SS;
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	user_call(PROGRAM(load), NO_VADDR, 0);
	guest_frame->pstate = PSTATE_SS;
	EQ(enter(guest.space[0]), L4_EXIT_FAULT);
	user_call(PROGRAM(trap), 0, 0);
	guest_frame->pstate = PSTATE_SS;
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, ARCH_TRAP_VECTOR);
	EQ(run(straight, 3, 0), L4_EXIT_SYSCALL);
}

static void steps(struct helper *self) { shared[1]++; }

/* A thread is stepped, and only that one. */
TEST(aarch64_thread_is_stepped)
{
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR];
	struct helper *h = helper_make(steps, 0, 100);
	u64 pc;

	MUST(INV(h->thread, L4_THREAD_READ_REGS));
	pc = f->pc;
	f->pstate = PSTATE_SS;
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	helper_start(h);
	for (u64 i = 0; i < 4; i++) {
		struct sys r = helper_fault(h);

		EQ(LABEL(r.tag), L4_FAULT_EXCEPTION);
		EQ(r.m[0], EC_STEP);
		EQ(r.m[2], pc + 4);
		ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
		MUST(INV(h->thread, L4_THREAD_READ_REGS));
		if (i < 3)
			pc = f->pc;
		f->pstate |= i < 3 ? PSTATE_SS : 0;
		MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
		helper_start(h);
		if (i == 2)
			break;
	}
	MUST(helper_fault(h));
	ERR(INV(h->thread, L4_THREAD_SUSPEND), OK);
	MUST(INV(h->thread, L4_THREAD_READ_REGS));
	f->pstate = 0;
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	helper_start(h);
	helper_join(h);
	EQ(shared[1], 1);
}

GUEST_TEST(aarch64_privileged_instructions)
{
	static const u32 privileged[] = {
		0xd5381000, /* mrs x0, sctlr_el1 */
		0xd5181000, /* msr sctlr_el1, x0 */
		0xd5182000, /* msr ttbr0_el1, x0 */
		0xd5182020, /* msr ttbr1_el1, x0 */
		0xd518c000, /* msr vbar_el1, x0 */
		0xd5384240, /* mrs x0, currentel */
		0xd5184000, /* msr spsr_el1, x0 */
		0xd5184100, /* msr sp_el0, x0 */
		0xd50040bf, /* msr spsel, #0 */
		0xd500419f, /* msr pan, #1 */
		0xd5034fdf, /* msr daifset, #15 */
		0xd50342ff, /* msr daifclr, #2 */
		0xd53b4220, /* mrs x0, daif */
		0xd508871f, /* tlbi vmalle1 */
		0xd5087620, /* dc ivac, x0 */
		0xd5087640, /* dc isw, x0 */
		0xd508751f, /* ic iallu */
		0xd5087800, /* at s1e1r, x0 */
		0xd4000002, /* hvc #0 */
		0xd4000003, /* smc #0 */
		0xd69f03e0, /* eret */
		0xd503207f, /* wfi */
		0xd51be320, /* msr cntv_ctl_el0, x0 */
		0xd51be340, /* msr cntv_cval_el0, x0 */
		0xd51be220, /* msr cntp_ctl_el0, x0 */
		0xd53be020, /* mrs x0, cntpct_el0 */
		0xd518e100, /* msr cntkctl_el1, x0 */
		0xd51bd060, /* msr tpidrro_el0, x0 */
		0xd538d080, /* mrs x0, tpidr_el1 */
		0xd5181040, /* msr cpacr_el1, x0 */
		0xd53b9c00, /* mrs x0, pmcr_el0 */
		0xd51b9d00, /* msr pmccntr_el0, x0 */
		0xd5100240, /* msr mdscr_el1, x0 */
		0xd538cc00, /* mrs x0, icc_iar1_el1 */
		0xd518cc20, /* msr icc_eoir1_el1, x0 */
		0x2518e3e0, /* ptrue p0.b */
		0xd4400000, /* hlt #0 */
		0xd4200000, /* brk #0 */
		0xd4a00001, /* dcps1 */
	};

	for (u64 i = 0; i < sizeof(privileged) / 4; i++) {
		u32 code[] = { privileged[i], SVC };

		if (!EQ(run(code, 2, 0), L4_EXIT_EXCEPTION))
			print("# instruction 0x%x\n", privileged[i]);
		EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT);
		EQ(vcpu->exit_error >> 26, vcpu->exit_code);
		CHECK(vcpu->exit_code == EC_UNKNOWN || vcpu->exit_code == EC_SYSREG || vcpu->exit_code == EC_WFI ||
		      vcpu->exit_code == EC_SVE || vcpu->exit_code == EC_BRK);
	}
}

GUEST_TEST(aarch64_user_instructions)
{
	static const u32 allowed[] = {
		0xd53be040, /* mrs x0, cntvct_el0 */
		0xd53be000, /* mrs x0, cntfrq_el0 */
		0xd53b9d00, /* mrs x0, pmccntr_el0 */
		0xd53b0020, /* mrs x0, ctr_el0 */
		0xd53b00e0, /* mrs x0, dczid_el0 */
		0xd50b7b20, /* dc cvau, x0 */
		0xd50b7a20, /* dc cvac, x0 */
		0xd50b7e20, /* dc civac, x0 */
		0xd50b7520, /* ic ivau, x0 */
		0xd53bd060, /* mrs x0, tpidrro_el0 */
		0xd51bd040, /* msr tpidr_el0, x0 */
		0xd53b4200, /* mrs x0, nzcv */
		0xd53b4400, /* mrs x0, fpcr */
		0xd503209f, /* sev */
		0xd503205f, /* wfe, after an event */
		0xd503203f, /* yield */
		0xd503233f, /* paciasp: does nothing */
		0xd503245f, /* bti c: does nothing */
		0x1e602800, /* fadd d0, d0, d0 */
	};
	u64 data = page_new();

	table_map(user_root, DATA_VADDR, data, LEAF_RW);
	for (u64 i = 0; i < sizeof(allowed) / 4; i++) {
		u32 code[] = { allowed[i], SVC };

		if (!EQ(run(code, 2, 0), L4_EXIT_SYSCALL))
			print("# instruction 0x%x\n", allowed[i]);
	}
	/* block zeroing writes, and needs the right to */
	static const u32 zva[] = { 0xd50b7420, SVC };

	for (u64 i = 0; i < 512; i++)
		((u64 *)gp(data))[i] = ~i;
	EQ(run(zva, 2, 0), L4_EXIT_SYSCALL);
	EQ(*(u64 *)gp(data), 0);
	flush(guest.space[0], L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
	table_map(user_root, DATA_VADDR, data, LEAF_RW & ~(u64)L4_PTE_WRITE);
	EQ(run(zva, 2, 0), L4_EXIT_FAULT);
	EQ(vcpu->fault_access, L4_RIGHT_WRITE);
}

/* The top byte of an address is ignored, for accesses and in what L4 looks up; the guest is told it with a fault. */
GUEST_TEST(aarch64_tagged_addresses)
{
	u64 data = page_new(), value;

	table_map(user_root, DATA_VADDR, data, LEAF_RW);
	*(u64 *)gp(data + 8) = 42;
	CHECK(user_load(guest.space[0], DATA_VADDR + 8 + (0x5aUL << 56), &value));
	EQ(value, 42);
	CHECK(user_store(guest.space[0], DATA_VADDR + 8 + (0xffUL << 56), 43));
	EQ(*(u64 *)gp(data + 8), 43);
	CHECK(!user_load(guest.space[0], NO_VADDR + (0x12UL << 56), &value));
	EQ(vcpu->fault_addr, NO_VADDR + (0x12UL << 56));
}

GUEST_TEST(aarch64_alignment)
{
	static const u32 exclusive[] = { 0xc85f7c01, SVC }; /* ldxr x1, [x0] */
	static const u32 call[] = { SVC };
	u64 data = page_new(), value;

	table_map(user_root, DATA_VADDR, data, LEAF_RW);
	CHECK(user_load(guest.space[0], DATA_VADDR + 1, &value));
	run(exclusive, 2, 0);
	/* across 16 bytes: what is inside of them is atomic with FEAT_LSE2 */
	user_call(PROGRAM_AT, DATA_VADDR + 12, 0);
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, EC_DATA);
	EQ(vcpu->exit_error & 0x3f, FSC_ALIGNMENT);
	EQ(vcpu->fault_addr, DATA_VADDR + 12);
	run(call, 1, 0);
	user_call(PROGRAM_AT + 2, 0, 0);
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, EC_PC);
	EQ(vcpu->fault_addr, CODE_VADDR + PROGRAM_AT + 2);
}

/* What L4 tells of the CPU names nothing that user mode may not use. */
GUEST_TEST(aarch64_cpu_id)
{
	volatile u64 *id = vcpu->cpu_id;

	CHECK(id[L4_CPU_ID_MIDR]);
	EQ(id[L4_CPU_ID_PFR0] & 0xff, 0x11);            /* AArch64 only, no EL2, no EL3 */
	EQ(id[L4_CPU_ID_PFR0] >> 32 & 0xf, 0);          /* SVE */
	CHECK((id[L4_CPU_ID_PFR0] >> 16 & 0xf) != 0xf); /* FP */
	EQ(id[L4_CPU_ID_PFR1], 0);                      /* MTE, SME, BTI */
	EQ(id[L4_CPU_ID_ISAR1] >> 4 & 0xff, 0);         /* pointer authentication */
	EQ(id[L4_CPU_ID_ISAR1] >> 24 & 0xff, 0);
	EQ(id[L4_CPU_ID_ISAR2] >> 8 & 0xfff, 0); /* and by the third algorithm, MOPS */
}

/* Kernel addresses are refused for every access, also as instructions. */
GUEST_TEST(aarch64_kernel_addresses)
{
	static const u64 kernel[] = { 0xffff000000000000, 0xffff000040200000, 0xffffff8000000000, 0xffffff8000010000,
	                              0xffffff80001ff000 };
	u64 value;

	for (u64 i = 0; i < sizeof(kernel) / 8; i++) {
		CHECK(!user_load(guest.space[0], kernel[i], &value));
		CHECK(!user_store(guest.space[0], kernel[i], 1));
		user_call(kernel[i] - CODE_VADDR, 0, 0);
		EQ(enter(guest.space[0]), L4_EXIT_FAULT);
		EQ(vcpu->fault_addr, kernel[i]);
		EQ(arch_try_load(kernel[i], &value), 1);
	}
}

/* The frame that RESUME loads is sanitised like any other. */
static int raise(void)
{
	vcpu->kernel_frame.pstate = PSTATE_EL1H | PSTATE_FLAGS;
	vcpu->kernel_frame.pc += 4;
	return 1;
}

GUEST_TEST(aarch64_guest_kernel_frame_is_sanitised)
{
	upcall.resolve = raise;
	EQ(arch_try_trap(), 0);
	EQ(upcall.count, 1);
	/* reading CurrentEL is refused, so this skips it: still user mode */
	asm volatile("mrs x0, currentel" : : : "x0");
	EQ(upcall.count, 2);
	upcall.resolve = NULL;
}

static void masks_interrupts(struct helper *self)
{
	asm volatile("msr daifset, #15");
	shared[1]++;
}

TEST(aarch64_written_registers_are_sanitised)
{
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR];
	struct helper *h = helper_make(masks_interrupts, 0, 100);
	struct sys r;

	MUST(INV(h->thread, L4_THREAD_READ_REGS));
	f->pstate = ~PSTATE_SS;
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	helper_start(h);
	r = helper_fault(h);
	EQ(LABEL(r.tag), L4_FAULT_EXCEPTION);
	EQ(r.m[0], EC_SYSREG);
	EQ(shared[1], 0);
}

/* The frame's privileged bits, set by another while user mode is preempted, are dropped on the way back. */
static void sets_privileged_bits(struct helper *self)
{
	volatile struct l4_frame *frame = (volatile void *)(TEST_VADDR + FRAME_END_GPA - sizeof(struct l4_frame));

	while (!shared[1])
		SYS(L4_SYS_YIELD, 0, 0);
	for (int i = 0; i < 4; i++)
		SYS(L4_SYS_YIELD, 0, 0);
	frame->pstate = PSTATE_EL1H;
	frame->pc = CODE_VADDR + PROGRAM_AT;
	shared[3] = 1;
}

static void has_privileged_bits_set(struct helper *self)
{
	static const u32 mask[] = { DAIFSET, SVC };

	run(mask, 2, 0);
	user_call(PROGRAM(spin), 0, 0);
	shared[1] = 1;
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT);
	EQ(guest_frame->pstate, 0);
}

TEST(aarch64_privileged_bits_set_while_user_mode_is_preempted)
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

static void keeps_vectors(struct helper *self)
{
	u64 seed = (self->arg[0] + 1) << 40, mode = self->arg[0] << 22; /* FPCR.RMode */

	aarch64_vectors_fill(seed, mode);
	for (u64 i = 0; i < 100; i++) {
		SYS(L4_SYS_YIELD, 0, 0);
		EQ(aarch64_vectors_differ(seed, mode), 0);
	}
	shared[1]++;
}

/* All 128 bits of every vector register, and FPCR. */
TEST(aarch64_whole_vector_registers)
{
	struct helper *h[3];

	for (u64 i = 0; i < 3; i++)
		h[i] = helper_fork(keeps_vectors, i, 100);
	for (u64 i = 0; i < 3; i++)
		helper_start(h[i]);
	for (u64 i = 0; i < 3; i++)
		helper_join(h[i]);
	EQ(shared[1], 3);
}

/* The device tree, read through a device Frame. */
TEST(aarch64_firmware_table)
{
	u64 at = boot_info->firmware_table;

	for (u32 i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *b = &boot_info->untyped[i];
		u64 f = slot_new();

		if (b->kind != L4_MEM_DEVICE || at < b->paddr || at - b->paddr >= 1UL << b->size_bits)
			continue;
		MUST(retype(L4_ROOT_SLOT_UNTYPED + i, L4_TYPE_FRAME, b->size_bits, f, 1));
		EQ(frame_map(f, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
		EQ(*(volatile u32 *)(TEST_VADDR + at - b->paddr), 0xedfe0dd0);
		ERR(slot_revoke(L4_ROOT_SLOT_UNTYPED + i), OK);
		return;
	}
	CHECK(!"a device Untyped with the device tree");
}
