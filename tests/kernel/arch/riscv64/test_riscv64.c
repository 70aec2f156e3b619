/* SPDX-License-Identifier: GPL-2.0-only */
/* What only riscv64 can get wrong: status bits, CSRs, FP state, reservations, leaves without rights. */
#include "guest.h"

#define CAUSE_ILLEGAL    2
#define CAUSE_BREAKPOINT 3
#define STATUS_SPIE      (1UL << 5)
#define STATUS_SPP       (1UL << 8)
#define STATUS_VS        (3UL << 9)
#define STATUS_FS        (3UL << 13)
#define STATUS_FS_INIT   (1UL << 13)
#define STATUS_FS_CLEAN  (2UL << 13)
#define STATUS_SUM       (1UL << 18)
#define STATUS_MXR       (1UL << 19)
#define KERNEL_VADDR     0xffffffff80000000UL /* where L4 has its image and all memory */
#define KERNEL_DIRECT    0xffffffc000000000UL

/* Programs for user mode, by assembler; they are copied into the guest's code page. */
#define PROGRAM_AT 0x800UL
#define CODE(name, text)                                                                                        \
	extern const char name[], name##_end[];                                                                 \
	asm(".pushsection .rodata\n.balign 4\n.option push\n.option norvc\n.option arch, +d\n" #name ":\n" text \
	    "\n" #name "_end:\n.option pop\n.popsection")
#define RUN(name, status) run(name, name##_end - name, status)

CODE(code_call, "ecall");
CODE(code_nop_call, "nop\n nop\n ecall");
CODE(code_spin, "1: j 1b");
CODE(code_fp, "fmv.d.x f1, a1\n ecall");
CODE(code_fp_read, "fmv.x.d a7, f1\n ecall");
CODE(code_fcsr, "csrr a7, fcsr\n ecall");
CODE(code_vector, ".word 0x0c0572d7\n ecall"); /* vsetvli t0, a0, e8 */
CODE(code_load, "ld a7, (a0)\n ecall");
CODE(code_illegal, ".word 0\n ecall");
CODE(code_reserve, "lr.d t0, (a0)\n ecall");
CODE(code_store, "sc.d a7, a1, (a0)\n ecall");
CODE(code_counters, "rdtime a1\n rdcycle a2\n rdinstret a3\n ecall");
CODE(code_misaligned_load, "ld a7, 1(a0)\n ecall");
CODE(code_misaligned_amo, "addi a0, a0, 1\n amoadd.d a7, a1, (a0)\n ecall");

static u64 run(const char *code, u64 size, u64 status)
{
	memcpy(gp(CODE_GPA + PROGRAM_AT), code, size);
	l4_code_written(gp(CODE_GPA + PROGRAM_AT), size);
	user_call(PROGRAM_AT, DATA_VADDR, 0x2222);
	guest_frame->status = status;
	return enter(guest.space[0]);
}

static void fill_registers(void)
{
	u64 *f = (u64 *)guest_frame;

	for (u64 i = 1; i < 32; i++)
		f[i] = 0xabcd0000 + i;
	guest_frame->spare = 0x77;
}

static void check_registers(void)
{
	u64 *f = (u64 *)guest_frame;

	for (u64 i = 1; i < 32; i++)
		EQ(f[i], 0xabcd0000 + i);
	EQ(guest_frame->spare, 0x77);
}

GUEST_TEST(riscv_user_registers_round_trip)
{
	RUN(code_call, 0);
	user_call(PROGRAM_AT, 0, 0);
	fill_registers();
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	check_registers();
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT + 4);
}

GUEST_TEST(riscv_events_keep_all_user_registers)
{
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
	EQ(RUN(code_spin, 0), L4_EXIT_EVENT);
	vcpu->pending = 0;
	fill_registers();
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	check_registers();
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT);
}

/* User mode has no privilege and interrupts stay on, whatever bits the frame has. */
GUEST_TEST(riscv_user_frame_is_sanitised)
{
	static const u64 odd[] = { 0, ALL_ONES, ALL_ONES & ~STATUS_SPP, STATUS_SPP, STATUS_SUM | STATUS_MXR };
	u64 page = page_new();

	for (u64 i = 0; i < sizeof(odd) / 8; i++) {
		EQ(RUN(code_nop_call, odd[i]), L4_EXIT_SYSCALL);
		EQ(guest_frame->status & (STATUS_SPP | STATUS_SUM | STATUS_MXR | STATUS_VS), 0);
		EQ(guest_frame->status & STATUS_SPIE, STATUS_SPIE);
		EQ(RUN(code_vector, odd[i]), L4_EXIT_EXCEPTION);
		EQ(vcpu->exit_code, CAUSE_ILLEGAL);
		/* code that may only be executed is not read */
		table_map(user_root, DATA_VADDR, page, L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_USER | L4_PTE_EXEC);
		EQ(RUN(code_load, odd[i]), L4_EXIT_FAULT);
		EQ(vcpu->fault_access, L4_RIGHT_READ);
		ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 2000), OK);
		EQ(RUN(code_spin, odd[i]), L4_EXIT_EVENT);
		vcpu->pending = 0;
	}
}

/* FS of a user frame is what the hardware has, as a kernel on the bare machine sees it. */
GUEST_TEST(riscv_fs_of_user_mode)
{
	EQ(RUN(code_fp, 0), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, CAUSE_ILLEGAL);
	EQ(guest_frame->pc, CODE_VADDR + PROGRAM_AT);
	EQ(guest_frame->status & STATUS_FS, 0);
	EQ(RUN(code_call, STATUS_FS_INIT), L4_EXIT_SYSCALL);
	EQ(guest_frame->status & STATUS_FS, STATUS_FS_INIT);
	EQ(RUN(code_call, STATUS_FS_CLEAN), L4_EXIT_SYSCALL);
	EQ(guest_frame->status & STATUS_FS, STATUS_FS_CLEAN);
	EQ(RUN(code_fp, STATUS_FS_CLEAN), L4_EXIT_SYSCALL);
	EQ(guest_frame->status & STATUS_FS, STATUS_FS);
	EQ(RUN(code_fp_read, STATUS_FS), L4_EXIT_SYSCALL);
	EQ(guest_frame->a7, 0x2222);
	EQ(RUN(code_illegal, STATUS_FS_CLEAN), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, CAUSE_ILLEGAL);
	/* user mode without them does not lose them */
	EQ(RUN(code_call, 0), L4_EXIT_SYSCALL);
	EQ(RUN(code_fp_read, STATUS_FS_CLEAN), L4_EXIT_SYSCALL);
	EQ(guest_frame->a7, 0x2222);
}

static int kernel_frame_of_nonsense(void)
{
	vcpu->kernel_frame.status = shared[1];
	vcpu->kernel_frame.pc = (u64)arch_fixup;
	return 1;
}

/* In guest kernel mode FP registers work, whatever its frame says, and nothing else does. */
GUEST_TEST(riscv_guest_kernel_frame_is_sanitised)
{
	static const u64 odd[] = { 0, ALL_ONES, STATUS_SPP, STATUS_SUM | STATUS_MXR | STATUS_SPP };

	for (u64 i = 0; i < sizeof(odd) / 8; i++) {
		shared[1] = odd[i];
		upcall.resolve = kernel_frame_of_nonsense;
		EQ(arch_try_trap(), 1);
		EQ(upcall.code, CAUSE_BREAKPOINT);
		arch_fpu_fill(i << 8);
		EQ(arch_fpu_differ(i << 8), 0);
		upcall.resolve = NULL;
		EQ(arch_try_load(KERNEL_DIRECT + 0x80200000, (u64 *)&shared[2]), 1);
		EQ(upcall.reason, L4_EXIT_FAULT);
	}
}

/* A guest and another task do not see each other's FP registers. */
static void other_fp_user(struct helper *self)
{
	u64 fcsr;

	asm volatile(".option push\n.option arch, +d\nfrcsr %0\n.option pop" : "=r"(fcsr));
	EQ(fcsr, 0);
	EQ(arch_fpu_differ(0), ARCH_FPU_REGISTERS - 1); /* only the first is 0 */
	asm volatile(".option push\n.option arch, +d\nfscsr %0\n.option pop" : : "r"(0x61UL));
	arch_fpu_fill(0x5000);
	for (int i = 0; i < 40; i++) {
		shared[1]++;
		SYS(L4_SYS_YIELD, 0, 0);
		asm volatile(".option push\n.option arch, +d\nfrcsr %0\n.option pop" : "=r"(fcsr));
		EQ(fcsr, 0x61);
		EQ(arch_fpu_differ(0x5000), 0);
	}
}

static void guest_fp_user(struct helper *self)
{
	guest_init();
	arch_fpu_fill(0x9000);
	for (int i = 0; i < 40; i++) {
		shared[2]++;
		SYS(L4_SYS_YIELD, 0, 0);
		EQ(RUN(code_fcsr, STATUS_FS_CLEAN), L4_EXIT_SYSCALL);
		EQ(guest_frame->a7, 0);
		EQ(guest_frame->status & STATUS_FS, STATUS_FS_CLEAN);
		EQ(arch_fpu_differ(0x9000), 0);
	}
}

TEST(riscv_fp_registers_of_guest_and_task)
{
	struct helper *h[2];

	guest_make(guest_fp_user);
	for (u64 i = 0; i < 2; i++)
		h[i] = helper_fork(other_fp_user, i, 100);
	helper_start(guest.helper);
	helper_start(h[0]);
	helper_start(h[1]);
	helper_join(guest.helper);
	helper_join(h[0]);
	helper_join(h[1]);
	EQ(shared[1], 80);
	EQ(shared[2], 40);
}

/* A store-conditional fails after every entry into L4, so that it cannot succeed on another thread's reservation. */
GUEST_TEST(riscv_reservations_end)
{
	u64 page = page_new();

	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	*(u64 *)gp(page) = 1;
	EQ(RUN(code_load, 0), L4_EXIT_SYSCALL);
	EQ(RUN(code_reserve, 0), L4_EXIT_SYSCALL);
	EQ(RUN(code_store, 0), L4_EXIT_SYSCALL);
	CHECK(guest_frame->a7);
	EQ(*(u64 *)gp(page), 1);
}

static void user_privileged(struct helper *self)
{
	u64 v = 0;

	switch (self->arg[0]) {
	case 0:
		asm volatile("csrr %0, sstatus" : "=r"(v));
		break;
	case 1:
		asm volatile("csrs sstatus, %0" : : "r"(STATUS_SPP));
		break;
	case 2:
		asm volatile("csrw satp, zero");
		break;
	case 3:
		asm volatile("csrw sepc, zero");
		break;
	case 4:
		asm volatile("csrr %0, sscratch" : "=r"(v));
		break;
	case 5:
		asm volatile("csrw stvec, zero");
		break;
	case 6:
		asm volatile("csrw sie, zero");
		break;
	case 7:
		asm volatile("csrw 0x14d, zero"); /* stimecmp */
		break;
	case 8:
		asm volatile("csrw scounteren, zero");
		break;
	case 9:
		asm volatile("sret");
		break;
	case 10:
		asm volatile("sfence.vma");
		break;
	case 11:
		asm volatile("csrw cycle, zero");
		break;
	case 12:
		asm volatile("csrr %0, mstatus" : "=r"(v));
		break;
	case 13:
		asm volatile("mret");
		break;
	case 14:
		asm volatile(".word 0x6c0040f3"); /* hlv.d ra, (zero): as a hypervisor's guest */
		break;
	case 15:
		asm volatile("csrr %0, 0x5a8" : "=r"(v)); /* scontext */
		break;
	}
	shared[1]++;
}

TEST(riscv_privileged_instructions_fault)
{
	for (u64 i = 0; i < 16; i++) {
		struct helper *h = helper_make(user_privileged, i, 100);
		struct sys r;

		helper_start(h);
		r = helper_fault(h);
		EQ(LABEL(r.tag), L4_FAULT_EXCEPTION);
		EQ(r.m[0], CAUSE_ILLEGAL);
		helper_forget();
	}
	EQ(shared[1], 0);
	/* OpenSBI 1.6 writes a text without an end of line for each of these, before it hands the exception on. */
	l4_debug_write("\n", 1);
}

static void spins(struct helper *self)
{
	for (;;)
		shared[1]++;
}

/* WRITE_REGS with every bit set gives a thread no privilege, and does not stop L4. */
TEST(riscv_written_registers_are_sanitised)
{
	static const u64 bad_pc[] = {
		KERNEL_VADDR, KERNEL_DIRECT + 0x80200000, ~0UL, 1UL << 63, 1UL << 38, 1UL << 47, KERNEL_VADDR + 2
	};
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR];

	for (u64 i = 0; i < sizeof(bad_pc) / 8; i++) {
		struct helper *h = helper_make(spins, 0, 100);
		struct sys r;

		MUST(INV(h->thread, L4_THREAD_READ_REGS));
		f->pc = bad_pc[i];
		f->sp = KERNEL_VADDR + 0x10000;
		f->tp = KERNEL_DIRECT + 0x80200000;
		f->status = ~0UL;
		MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
		helper_start(h);
		r = helper_fault(h);
		CHECK(LABEL(r.tag) == L4_FAULT_PAGE || LABEL(r.tag) == L4_FAULT_EXCEPTION);
		helper_forget();
	}
	struct helper *h = helper_make(user_privileged, 1, 100);

	MUST(INV(h->thread, L4_THREAD_READ_REGS));
	f->status = STATUS_SPP;
	MUST(INV(h->thread, L4_THREAD_WRITE_REGS));
	helper_start(h);
	EQ(LABEL(helper_fault(h).tag), L4_FAULT_EXCEPTION);
	EQ(shared[1], 0);
}

/* Entries without R, W and X name tables to the CPU: a guest's leaf must never become one. */
GUEST_TEST(riscv_leaves_without_rights)
{
	const u64 leaf = L4_PTE_VALID | L4_PTE_LEAF | L4_PTE_USER;
	u64 page = page_new(), value;

	for (u64 flags = 0; flags < 8; flags++) {
		/* bits 1 to 3 are read, write, execute; accessed and dirty as if L4 had been here before */
		u64 bits = leaf | flags << 1 | L4_PTE_ACCESSED | L4_PTE_DIRTY;

		for (u64 i = 0; i < 4; i++)
			table_map(user_root, DATA_VADDR + i * L4_PAGE_SIZE, page, i == 1 ? LEAF_RW : bits);
		/* the page holds what would be a table of L4's memory */
		for (u64 i = 0; i < 512; i++)
			((u64 *)gp(page))[i] = (0x80000000 + i * L4_PAGE_SIZE) >> 2 | 0xdf;
		vcpu->hint_space = guest.space[0];
		vcpu->hint_addr = DATA_VADDR;
		vcpu->hint_count = 4;
		CHECK(user_load(guest.space[0], DATA_VADDR + L4_PAGE_SIZE, &value));
		EQ(user_load(guest.space[0], DATA_VADDR, &value), flags & 1);
		EQ(user_store(guest.space[0], DATA_VADDR + 2 * L4_PAGE_SIZE, 5), flags >> 1 & 1);
		user_call(DATA_VADDR + 3 * L4_PAGE_SIZE - CODE_VADDR, 0, 0);
		if (!(flags & 4))
			EQ(enter(guest.space[0]), L4_EXIT_FAULT);
		/* the same as a large leaf */
		*table_entry(user_root, DATA_VADDR + 0x40000000, 1) = (LARGE_GPA & L4_PTE_ADDR_MASK) | bits;
		*(u64 *)gp(LARGE_GPA) = 0xdf;
		EQ(user_load(guest.space[0], DATA_VADDR + 0x40000000, &value), flags & 1);
		flush(guest.space[0], L4_FLUSH_RANGE, 0, ALL_ONES);
	}
}

GUEST_TEST(riscv_user_mode_reads_counters)
{
	u64 before = l4_counter();

	EQ(RUN(code_counters, 0), L4_EXIT_SYSCALL);
	CHECK(guest_frame->a1 >= before && guest_frame->a1 <= l4_counter());
	CHECK(guest_frame->a2 && guest_frame->a3);
}

/* Misaligned accesses work or are the guest's exceptions. */
GUEST_TEST(riscv_misaligned_accesses)
{
	u64 page = page_new(), reason;

	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	*(u64 *)gp(page) = 0x1122334455667788;
	*(u64 *)gp(page + 8) = 0x99;
	reason = RUN(code_misaligned_load, 0);
	if (reason == L4_EXIT_SYSCALL)
		EQ(guest_frame->a7, 0x9911223344556677);
	else
		EQ(reason, L4_EXIT_EXCEPTION);
	reason = RUN(code_misaligned_amo, 0);
	CHECK(reason == L4_EXIT_SYSCALL || reason == L4_EXIT_EXCEPTION);
}

/* L4 compares all 64 bits of a system call's number. */
GUEST_TEST(riscv_syscall_numbers_are_64_bits)
{
	ERR(SYS((1UL << 32) + L4_SYS_YIELD, 0, 0), SYSCALL);
	ERR(SYS((1UL << 32) + L4_SYS_VCPU_ENTER, 0, 0), SYSCALL);
}

/* All registers but those of the results survive a system call. */
TEST(riscv_system_calls_keep_registers)
{
	register u64 t3 asm("t3") = 1, t4 asm("t4") = 2, t5 asm("t5") = 3, t6 asm("t6") = 4;
	register u64 a0 asm("a0") = 9, a7 asm("a7") = L4_SYS_YIELD, t2 asm("t2") = 5;

	asm volatile("ecall" : "+r"(a0), "+r"(a7), "+r"(t2), "+r"(t3), "+r"(t4), "+r"(t5), "+r"(t6) : : "memory");
	EQ(a0, L4_ERR_OK);
	EQ(a7, L4_SYS_YIELD);
	EQ(t2 + t3 + t4 + t5 + t6, 15);
}

/* The device tree, read through a device Frame. */
TEST(riscv_firmware_table)
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
		EQ(memcmp((void *)(TEST_VADDR + at - b->paddr), "\xd0\x0d\xfe\xed", 4), 0);
		ERR(slot_revoke(L4_ROOT_SLOT_UNTYPED + i), OK);
		return;
	}
	CHECK(!"a device Untyped with the device tree");
}
