/* SPDX-License-Identifier: GPL-2.0-only */
/* Mode above: ways between ring 1 and ring 3 that L4 does not see, and what it has to end under them. */
#include "guest.h"

#define S0         guest.space[0]
#define FLAG_AC    0x40000UL
#define LEAF7_SMEP 7
#define LEAF7_SMAP 20

/* Whether the CPU has what a bit of EBX of CPUID's leaf 7 tells; L4 switches it on then. */
static u64 cpu_has(u32 bit)
{
	u32 eax = 7, ebx, ecx = 0, edx;

	asm volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
	return ebx >> bit & 1;
}

static void user_frame(u64 program, u64 arg0, u64 arg1)
{
	user_call(program, arg0, arg1);
	guest_frame->cs = 0x33;
	guest_frame->ss = 0x2b;
	guest_frame->flags = 0x202;
}

static void load_space(u64 space)
{
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(space), L4_EXIT_SYSCALL);
	EQ(vcpu->space, space);
}

/* The least time that code takes of 20, each after another piece that does not count. */
#define LEAST(name, before, code)                                 \
	do {                                                      \
		u64 least_ = ALL_ONES;                            \
		for (u64 i = 0; i < 20; i++) {                    \
			before;                                   \
			u64 start_ = l4_counter();                \
			code;                                     \
			u64 took_ = l4_counter() - start_;        \
			least_ = took_ < least_ ? took_ : least_; \
		}                                                 \
		print("# bench " name " %lu\n", least_);          \
	} while (0)

/* A system call and its return without L4, and what they cost. */
static void round_trip_body(struct helper *self)
{
	load_space(S0);
	for (int i = 0; i < 20; i++) {
		user_frame(PROGRAM(load), CODE_VADDR, i);
		guest_frame->bx = 0xabc0 + i;
		EQ(x86_64_guest_leave(), L4_EXIT_SYSCALL);
		EQ(guest_frame->bx, 0xabc0 + i);
		EQ(guest_frame->si, i);
		EQ(guest_frame->sp, USER_STACK - 8);
		EQ(guest_frame->ip, CODE_VADDR + PROGRAM(load) + 5);
		EQ(guest_frame->ax, *(u64 *)gp(CODE_GPA));
	}
	LEAST("above-system-call", user_frame(PROGRAM(load), CODE_VADDR, i), x86_64_guest_leave());
	LEAST("above-l4-call", (void)0, SYS(L4_SYS_VCPU_TIMER, 0, ALL_ONES));
	LEAST("above-enter-system-call", user_frame(PROGRAM(load), CODE_VADDR, i), enter(S0));
	LEAST("above-fault-by-l4", user_frame(PROGRAM(load), DATA_VADDR, i), EQ(x86_64_guest_leave(), L4_EXIT_FAULT));
}

GUEST_TEST_AT(round_trip, x86_above_system_call_without_l4, GUEST_ABOVE)

static void tell_entries(u64 fault)
{
	ERR(SYS(L4_SYS_VCPU_ENTRIES, 0, 0, (u64)x86_64_guest_syscall, fault, (u64)x86_64_guest_exit,
	        (u64)x86_64_guest_exit_end, (u64)x86_64_guest_events),
	    OK);
}

/* Faults come to ring 1 first, who makes them valid: one call of L4 fills them by the hint and goes on. */
static void faults_first_body(struct helper *self)
{
	u64 page = page_new(), least = ALL_ONES, start, value;

	load_space(S0);
	tell_entries((u64)x86_64_guest_fault);
	for (u64 i = 0; i < 20; i++) {
		u64 at = DATA_VADDR + i * L4_PAGE_SIZE;

		vcpu->fault_access = 99;
		user_frame(PROGRAM(store), at + 8 * i, 77 + i);
		start = l4_counter();
		EQ(x86_64_guest_leave(), L4_EXIT_FAULT);
		start = l4_counter() - start;
		least = start < least ? start : least;
		EQ(vcpu->fault_access, 99); /* L4 had no part in it */
		EQ(vcpu->fault_addr, at + 8 * i);
		EQ(vcpu->fault_present, 6); /* the CPU's error code: a write of user mode, nothing there */
		EQ(guest_frame->ip, CODE_VADDR + PROGRAM(store));
		EQ(guest_frame->si, 77 + i);
		EQ(guest_frame->sp, USER_STACK - 8);
		table_map(user_root, at, page, LEAF_RW | L4_PTE_ACCESSED | L4_PTE_DIRTY);
		vcpu->hint_space = S0;
		vcpu->hint_addr = at;
		vcpu->hint_count = 1;
		EQ(enter(S0), L4_EXIT_SYSCALL);
		EQ(*(u64 *)gp(page + 8 * i), 77 + i);
	}
	print("# bench above-fault-to-ring-1 %lu\n", least);
	/* protection, execution, and addresses that are not user mode's */
	table_map(user_root, DATA_VADDR, page, LEAF_RW & ~(u64)L4_PTE_WRITE);
	flush(S0, L4_FLUSH_RANGE, DATA_VADDR, DATA_VADDR + L4_PAGE_SIZE);
	user_call(PROGRAM(load), DATA_VADDR, 0);
	EQ(enter(S0), L4_EXIT_FAULT);
	EQ(vcpu->fault_present, 4);
	vcpu->hint_space = S0;
	vcpu->hint_addr = DATA_VADDR;
	vcpu->hint_count = 1;
	*table_entry(user_root, DATA_VADDR, 0) |= L4_PTE_ACCESSED;
	EQ(enter(S0), L4_EXIT_SYSCALL);
	user_call(PROGRAM(store), DATA_VADDR, 1);
	EQ(enter(S0), L4_EXIT_FAULT);
	EQ(vcpu->fault_present, 7);
	user_call(PROGRAM(load), 0xffffffff80200000, 0);
	EQ(enter(S0), L4_EXIT_FAULT);
	EQ(vcpu->fault_present & ~1UL, 4);
	/* ring 1's own faults are L4's first, whatever user mode's are */
	EQ(arch_try_load(guest_own, &value), 1);
	EQ(upcall.reason, L4_EXIT_FAULT);
}

GUEST_TEST_AT(faults_first, x86_above_page_faults_to_ring_1_first, GUEST_ABOVE)

/* L4 may forget the translation of the entry itself: the fault of its fetch does not hide that of user mode. */
static void entry_faults_body(struct helper *self)
{
	static const u8 jump[] = { 0xff, 0x25, 0, 0, 0, 0 }; /* jmp to the address behind it */
	u64 root = page_new(), page = page_new(), to = (u64)x86_64_guest_fault;

	memcpy(gp(page), jump, sizeof(jump));
	memcpy(gp(page + sizeof(jump)), &to, sizeof(to));
	table_map(root, guest_own, page, LEAF_KERNEL | L4_PTE_EXEC);
	vcpu->kernel_root = root;
	load_space(S0);
	tell_entries(guest_own);
	for (u64 i = 0; i < 3; i++) {
		ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, guest_own, guest_own + L4_PAGE_SIZE), OK);
		user_frame(PROGRAM(store), DATA_VADDR + 8 * i, 5);
		EQ(x86_64_guest_leave(), L4_EXIT_FAULT);
		EQ(vcpu->fault_addr, DATA_VADDR + 8 * i);
		EQ(vcpu->fault_present, 6);
		EQ(guest_frame->ip, CODE_VADDR + PROGRAM(store));
		EQ(guest_frame->sp, USER_STACK - 8);
		EQ(guest_frame->cs, 0x33);
		EQ(guest_frame->ss, 0x2b);
	}
	EQ(upcall.count, 0);
}

GUEST_TEST_AT(entry_faults, x86_above_fault_entry_that_faults, GUEST_ABOVE)

static void entries_body(struct helper *self)
{
	static const u64 bad[] = {
		0x1000, 0x800000000000, 0xffff800000000000, 0xffffffff80200000, L4_GUEST_IMAGE_END, 0
	};
	u64 good = (u64)x86_64_guest_syscall;

	for (u64 i = 0; i < sizeof(bad) / 8; i++)
		for (u64 n = 0; n < 5; n++) {
			u64 w[6] = { good, good, good, good, good };

			if (n == 1 && !bad[i])
				continue;
			w[n] = bad[i];
			EQ(sys(L4_SYS_VCPU_ENTRIES, 0, 0, w, 0).error, L4_ERR_RANGE);
		}
	load_space(S0);
	/* an entry that is not mapped: the guest kernel's own fault */
	ERR(SYS(L4_SYS_VCPU_ENTRIES, 0, 0, guest_own + 0x10, 0, good, good, good), OK);
	upcall.count = 0;
	user_call(PROGRAM(load), CODE_VADDR, 0);
	vcpu->kernel_entry = (u64)x86_64_guest_syscall; /* ends this enter as a system call would */
	EQ(enter(S0), L4_EXIT_SYSCALL);
	EQ(vcpu->fault_addr, guest_own + 0x10);
	vcpu->kernel_entry = (u64)arch_upcall_entry;
	tell_entries(0);
	load_space(S0);
}

GUEST_TEST_AT(entries, x86_above_entries, GUEST_ABOVE)

GUEST_TEST_LOW(x86_entries_are_for_mode_above)
{
	ERR(SYS(L4_SYS_VCPU_ENTRIES, 0, 0, guest_own, 0, guest_own, guest_own, guest_own), STATE);
}

/* Ring 1 reaches user mode's memory with AC set, through what user mode's translations allow. */
static void user_memory_body(struct helper *self)
{
	u64 page = page_new(), value = 0, smap = cpu_has(LEAF7_SMAP);

	load_space(S0);
	table_map(user_root, DATA_VADDR, page, LEAF_RW);
	table_map(user_root, DATA_VADDR + 0x1000, page, LEAF_RW & ~(u64)L4_PTE_WRITE);
	*(u64 *)gp(page) = 5;
	/* without AC: the guest kernel did not mean it, which a CPU with SMAP tells */
	EQ(arch_try_load(DATA_VADDR, &value), smap);
	EQ(upcall.reason, smap ? L4_EXIT_FAULT : 0);
	EQ(upcall.present, smap);
	asm volatile("pushf; orq %0, (%%rsp); popf" : : "i"(FLAG_AC) : "memory");
	EQ(arch_try_load(DATA_VADDR, &value), 0);
	EQ(arch_try_store(DATA_VADDR, 6), 0); /* the first write: L4 sees that the page becomes dirty */
	EQ(arch_try_load(DATA_VADDR + 0x1000, &value), 0);
	EQ(arch_try_store(DATA_VADDR + 0x1000, 7), 1);
	EQ(arch_try_load(DATA_VADDR + 0x2000, &value), 1);
	asm volatile("pushf; andq %0, (%%rsp); popf" : : "i"(~FLAG_AC) : "memory");
	EQ(*(u64 *)gp(page), 6);
	CHECK(*table_entry(user_root, DATA_VADDR, 0) & L4_PTE_DIRTY);
}

/* Without SMEP the program runs, and faults at its load of address 0. */
static void smep_body(struct helper *self)
{
	u64 smep = cpu_has(LEAF7_SMEP);

	load_space(S0);
	upcall.resolve = x86_64_leave_code;
	EQ(x86_64_try_code((void *)CODE_VADDR, 0, 0), 1);
	EQ(upcall.reason, L4_EXIT_FAULT);
	EQ(upcall.address, smep ? CODE_VADDR : 0);
	EQ(upcall.access & L4_RIGHT_EXEC, smep ? L4_RIGHT_EXEC : 0);
}

GUEST_TEST_AT(user_memory, x86_above_reaches_user_memory, GUEST_ABOVE)
GUEST_TEST_AT(smep, x86_above_does_not_execute_user_memory, GUEST_ABOVE)

/* Memory, or a space, that goes while the space is loaded: neither ring reaches it again. */
static void detached_body(struct helper *self)
{
	u64 value;

	table_map(user_root, DATA_VADDR, GUEST_RAM, LEAF_RW);
	CHECK(user_store(S0, DATA_VADDR, 7));
	EQ(vcpu->space, S0);
	ERR(INV(shared[11], L4_FRAME_UNMAP), OK);
	EQ(vcpu->space, 0);
	/* by the way that L4 does not see: nothing of the space is there */
	user_frame(PROGRAM(store), DATA_VADDR, 8);
	EQ(x86_64_guest_leave(), L4_EXIT_FAULT);
	EQ(vcpu->fault_addr, CODE_VADDR + PROGRAM(store));
	asm volatile("pushf; orq %0, (%%rsp); popf" : : "i"(FLAG_AC) : "memory");
	EQ(arch_try_load(DATA_VADDR, &value), 1);
	asm volatile("pushf; andq %0, (%%rsp); popf" : : "i"(~FLAG_AC) : "memory");
	/* by L4 the rest is */
	load_space(S0);
	CHECK(!user_store(S0, DATA_VADDR, 8));
	load_space(guest.space[1]);
	ERR(INV(L4_ROOT_SLOT_CNODE, L4_CNODE_DELETE, guest.space[1]), OK);
	EQ(vcpu->space, 0);
	user_frame(PROGRAM(load), CODE_VADDR, 0);
	EQ(x86_64_guest_leave(), L4_EXIT_FAULT);
	load_space(S0);
	shared[12] = 1;
}

TEST(x86_above_memory_goes_while_its_space_is_loaded)
{
	u64 page = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS), view = cap_copy(page, L4_RIGHT_ALL);

	guest_make_at(detached_body, GUEST_ABOVE);
	guest_run_losing(page);
	EQ(frame_map(view, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
	EQ(*(volatile u64 *)TEST_VADDR, 7);
}

/* A thread without a vCPU does not run there. */
TEST(x86_above_needs_a_vcpu)
{
	u64 v = obj_new(L4_TYPE_VSPACE, 18), t = obj_new(L4_TYPE_THREAD, 0), cpu = obj_new(L4_TYPE_VCPU, 0);

	need_guest_mode(L4_GUEST_ABOVE);
	MUST(INV(v, L4_VSPACE_GUEST, L4_GUEST_ABOVE));
	MUST(INV(t, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, v, L4_GUEST_IMAGE_START, 0));
	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
	MUST(INV(t, L4_THREAD_BIND_VCPU, cpu, L4_GUEST_IMAGE_START + L4_PAGE_SIZE));
	ERR(INV(t, L4_THREAD_RESUME), OK);
	ERR(slot_delete(cpu), OK);
	ERR(INV(t, L4_THREAD_RESUME), UNBOUND);
}

/*
 * An event at each instruction of the way out: the guest kernel takes it before user mode runs, with all registers
 * whole. The parent sets the guest's registers as they are at the instruction.
 */
#define LABEL_STEP 77

static void steps_body(struct helper *self)
{
	u64 count = x86_64_guest_steps_end - x86_64_guest_steps;

	load_space(S0);
	for (u64 i = 0; i < count; i++) {
		struct l4_frame before;

		user_frame(PROGRAM(load), CODE_VADDR, 0);
		for (u64 n = 0; n < 15; n++)
			if (&((u64 *)guest_frame)[n] != &guest_frame->di)
				((u64 *)guest_frame)[n] = 0xabcd0000 + n + (i << 8);
		before = *guest_frame;
		x86_64_events = 0;
		shared[20] = (u64)x86_64_guest_exit + x86_64_guest_steps[i];
		shared[21] = (u64)guest_frame + 8 * (i < 2 ? 0 : i - 2);
		/* The parent does not let it return from this call. */
		EQ(x86_64_guest_park(parent_endpoint, TAG(LABEL_STEP, 0, 0)), L4_EXIT_SYSCALL);
		EQ(x86_64_events, 1);
		EQ(vcpu->pending, 0);
		before.ax = *(u64 *)gp(CODE_GPA);
		before.cx = guest_frame->cx;
		before.r11 = guest_frame->r11;
		before.orig_ax = guest_frame->orig_ax;
		before.ip += 5;
		EQ(memcmp(&before, guest_frame, sizeof(before)), 0);
	}
	shared[22] = count;
}

TEST(x86_above_event_at_each_instruction_of_the_way_out)
{
	struct l4_frame *f = (struct l4_frame *)&root_utcb->mr[L4_FRAME_MR];
	u64 steps = 0;

	guest_make_at(steps_body, GUEST_ABOVE);
	helper_start(guest.helper);
	for (;;) {
		struct sys r = recv(parent_endpoint, 0);

		MUST(r);
		if (LABEL(r.tag) != LABEL_STEP) {
			EQ(LABEL(r.tag), LABEL_DONE);
			failures += r.m[1];
			break;
		}
		MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
		MUST(INV(guest.helper->thread, L4_THREAD_READ_REGS));
		for (u64 n = 0; n < 15; n++)
			((u64 *)f)[n] = 0xbad;
		f->ip = shared[20];
		f->sp = shared[21];
		MUST(INV(guest.helper->thread, L4_THREAD_WRITE_REGS));
		ERR(SYS(L4_SYS_SIGNAL, guest.kick, 0), OK);
		MUST(INV(guest.helper->thread, L4_THREAD_RESUME));
		steps++;
	}
	EQ(shared[22], steps);
	EQ(steps, 19);
}

/* Two guests that preempt each other at random, also between the gate and ring 1's first instructions. */
#define TURNS 30000UL

static void turns_body(struct helper *self)
{
	u64 sp = 0x10000000 * (self->index + 1);

	load_space(S0);
	for (u64 i = 0; i < TURNS; i++) {
		user_frame(PROGRAM(load), CODE_VADDR, i);
		guest_frame->sp = sp + 8 * i;
		if (x86_64_guest_leave() != L4_EXIT_SYSCALL || guest_frame->sp != sp + 8 * i || guest_frame->si != i) {
			failures++;
			return;
		}
	}
	shared[1]++;
}

TEST(x86_above_two_guests_preempt_each_other)
{
	struct helper *first;

	guest_make_at(turns_body, GUEST_ABOVE);
	first = guest.helper;
	MUST(INV(first->thread, L4_THREAD_SET_SCHED, sched_new(100, 201), 100, 100));
	guest_make_at(turns_body, GUEST_ABOVE);
	MUST(INV(guest.helper->thread, L4_THREAD_SET_SCHED, sched_new(100, 203), 100, 100));
	helper_start(first);
	helper_start(guest.helper);
	helper_join(first);
	helper_join(guest.helper);
	EQ(shared[1], 2);
}
