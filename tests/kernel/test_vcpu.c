/* SPDX-License-Identifier: GPL-2.0-only */
/* vCPU: exits from user mode, upcalls in guest kernel mode, events, and refused enters. */
#include "guest.h"

static u64 take_events(void)
{
	vcpu->pending = 0;
	return __atomic_exchange_n(&vcpu->events.word[0], 0, __ATOMIC_SEQ_CST);
}

static void timer_in(u64 ticks) { ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + ticks), OK); }

#define TICKS_LONG  (vcpu->counter_hz / 50)
#define TICKS_SHORT (vcpu->counter_hz / 2000)

GUEST_TEST(vcpu_syscall_exit_keeps_registers)
{
	struct l4_frame before;
	u64 data = page_new();

	table_map(user_root, DATA_VADDR, data, LEAF_RW);
	*(u64 *)gp(data) = 0x1234567890;
	user_call(PROGRAM(load), DATA_VADDR, 77);
	before = *guest_frame;
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	EQ(*frame_result(guest_frame), 0x1234567890);
	EQ(*frame_arg0(guest_frame), *frame_arg0(&before));
	EQ(*frame_arg1(guest_frame), 77);
	EQ(*frame_sp(guest_frame), *frame_sp(&before));
	CHECK(*frame_ip(guest_frame) > *frame_ip(&before) && *frame_ip(guest_frame) < *frame_ip(&before) + 16);
}

GUEST_TEST(vcpu_fault_exit_names_address_and_access)
{
	u64 value;

	CHECK(!user_load(guest.space[0], DATA_VADDR + 0x123, &value));
	EQ(vcpu->fault_addr, DATA_VADDR + 0x123);
	EQ(vcpu->fault_access, L4_RIGHT_READ);
	EQ(vcpu->fault_present, 0);
	EQ(*frame_ip(guest_frame), CODE_VADDR + PROGRAM(load));
	CHECK(!user_store(guest.space[0], DATA_VADDR + 8, 1));
	EQ(vcpu->fault_addr, DATA_VADDR + 8);
	EQ(vcpu->fault_access & L4_RIGHT_WRITE, L4_RIGHT_WRITE);
	table_map(user_root, DATA_VADDR, page_new(), LEAF_RW & ~(u64)L4_PTE_WRITE);
	CHECK(!user_store(guest.space[0], DATA_VADDR + 8, 1));
	EQ(vcpu->fault_present, 1);
	user_call(DATA_VADDR - CODE_VADDR, 0, 0);
	EQ(enter(guest.space[0]), L4_EXIT_FAULT);
	EQ(vcpu->fault_access & L4_RIGHT_EXEC, L4_RIGHT_EXEC);
	EQ(vcpu->fault_addr, DATA_VADDR);
}

GUEST_TEST(vcpu_exception_exit)
{
	user_call(PROGRAM(trap), 0, 0);
	EQ(enter(guest.space[0]), L4_EXIT_EXCEPTION);
	EQ(vcpu->exit_code, ARCH_TRAP_VECTOR);
	EQ(*frame_ip(guest_frame), CODE_VADDR + PROGRAM(trap));
}

GUEST_TEST(vcpu_timer_ends_user_mode)
{
	u64 start = l4_counter();

	user_call(PROGRAM(spin), 1, 2);
	timer_in(TICKS_SHORT);
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	CHECK(l4_counter() - start >= TICKS_SHORT);
	EQ(vcpu->pending, 1);
	EQ(take_events(), 1UL << L4_GUEST_EVENT_TIMER);
	EQ(*frame_ip(guest_frame), CODE_VADDR + PROGRAM(spin));
	EQ(*frame_arg0(guest_frame), 1);
	/* the timer fires once, and not at all when it was cancelled in time */
	start = l4_counter();
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, start + TICKS_LONG), OK);
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, ALL_ONES), OK);
	if (l4_counter() - start >= TICKS_LONG)
		return;
	while (l4_counter() - start < 2 * TICKS_LONG)
		arch_relax();
	EQ(vcpu->pending, 0);
	EQ(take_events(), 0);
}

GUEST_TEST(vcpu_timer_in_the_past_is_an_event_at_once)
{
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() - 1), OK);
	ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
	EQ(take_events(), 1UL << L4_GUEST_EVENT_TIMER);
}

GUEST_TEST(vcpu_pending_event_exits_before_user_mode)
{
	struct l4_frame before;

	ERR(SYS(L4_SYS_SIGNAL, guest.kick, 0), OK);
	EQ(vcpu->pending, 1);
	user_call(PROGRAM(spin), 0x55, 0x66);
	*frame_result(guest_frame) = 0x77;
	before = *guest_frame;
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	EQ(memcmp(&before, guest_frame, sizeof(before)), 0);
	EQ(take_events(), 2);
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
}

GUEST_TEST(vcpu_wait_returns_on_events)
{
	ERR(SYS(L4_SYS_SIGNAL, guest.kick, 0), OK);
	ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
	EQ(take_events(), 2);
	timer_in(TICKS_SHORT);
	ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
	EQ(vcpu->pending, 1);
	EQ(take_events(), 1);
}

/* VCPU_WAIT, VCPU_ENTER and VCPU_FLUSH send the signals in the queue. */
GUEST_TEST(vcpu_sends_queued_signals)
{
	flush(guest.kick, L4_FLUSH_SIGNAL, 0, 0);
	EQ(vcpu->pending, 0);
	ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
	EQ(vcpu->flush_count, 0);
	EQ(take_events(), 2);
	flush(guest.kick, L4_FLUSH_SIGNAL, 0, 0);
	user_call(PROGRAM(spin), 0, 0);
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	EQ(take_events(), 2);
	flush(guest.kick, L4_FLUSH_SIGNAL, 0, 0);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0), OK);
	EQ(take_events(), 2);
}

GUEST_TEST(vcpu_skips_queued_signals_that_it_may_not_send)
{
	flush(0, L4_FLUSH_SIGNAL, 0, 0);
	flush(0xffffffff, L4_FLUSH_SIGNAL, 0, 0);
	flush(guest.space[0], L4_FLUSH_SIGNAL, 0, 0);
	flush(guest.read_only_kick, L4_FLUSH_SIGNAL, 0, 0);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0), OK);
	EQ(vcpu->flush_count, 0);
	EQ(vcpu->pending, 0);
	EQ(take_events(), 0);
}

/* A thread of higher priority signals while the guest waits, and while its user mode runs. */
static void guest_driven_from_outside(struct helper *self)
{
	for (int i = 0; i < 4; i++) {
		if (i & 1) {
			user_call(PROGRAM(spin), 0, 0);
			EQ(enter(guest.space[0]), L4_EXIT_EVENT);
		} else {
			ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), OK);
		}
		EQ(take_events(), 2);
		shared[3]++;
	}
}

static void ticker(struct helper *self)
{
	u64 start = l4_counter();

	/* Lower than the guest: runs when the guest waits. Higher: spends time first by its own budget. */
	while (shared[3] < 4) {
		while (l4_counter() - start < boot_info->counter_hz / 1000)
			arch_relax();
		start = l4_counter();
		SYS(L4_SYS_SIGNAL, guest.kick, 0);
		SYS(L4_SYS_YIELD, 0, 0);
	}
}

GUEST_SCENE(vcpu_notification_becomes_an_event)
{
	struct helper *h;

	guest_make(guest_driven_from_outside);
	h = helper_make(ticker, 0, 100);
	helper_start(guest.helper);
	helper_start(h);
	helper_join(guest.helper);
	EQ(shared[3], 4);
}

/* upcalls in guest kernel mode */

GUEST_TEST(vcpu_event_upcall_keeps_registers)
{
	static volatile u64 never;
	u64 rounds = 0;

	vcpu->irq_enabled = 1;
	timer_in(TICKS_SHORT);
	while (!upcall.count && rounds++ < 10000)
		EQ(arch_spin_until(&never, 1, 100000), 1);
	EQ(upcall.count, 1);
	EQ(upcall.reason, L4_EXIT_EVENT);
	EQ(upcall.irq, 1);
	EQ(upcall.events, 1);
	EQ(vcpu->irq_enabled, 1);
}

GUEST_TEST(vcpu_no_upcall_while_disabled)
{
	u64 start = l4_counter();

	vcpu->irq_enabled = 0;
	timer_in(TICKS_SHORT);
	while (l4_counter() - start < 4 * TICKS_SHORT)
		arch_relax();
	EQ(upcall.count, 0);
	EQ(vcpu->pending, 1);
	EQ(take_events(), 1);
	vcpu->irq_enabled = 1;
	ERR(SYS(L4_SYS_SIGNAL, guest.kick, 0), OK);
	EQ(upcall.count, 1);
	EQ(upcall.events, 2);
}

GUEST_TEST(vcpu_fault_upcall)
{
	u64 value = 5;

	vcpu->irq_enabled = 1;
	EQ(arch_try_load(guest_own + 0x10, &value), 1);
	EQ(upcall.count, 1);
	EQ(upcall.reason, L4_EXIT_FAULT);
	EQ(upcall.address, guest_own + 0x10);
	EQ(upcall.access, L4_RIGHT_READ);
	EQ(upcall.present, 0);
	EQ(upcall.irq, 1);
	EQ(vcpu->irq_enabled, 1);
	vcpu->irq_enabled = 0;
	EQ(arch_try_store(guest_own, 1), 1);
	EQ(upcall.access & L4_RIGHT_WRITE, L4_RIGHT_WRITE);
	EQ(upcall.irq, 0);
	EQ(vcpu->irq_enabled, 0);
	EQ(arch_try_trap(), 1);
	EQ(upcall.reason, L4_EXIT_EXCEPTION);
	EQ(upcall.code, ARCH_TRAP_VECTOR);
	EQ(upcall.count, 3);
	EQ(value, 5);
}

static int resolve_by_mapping(void)
{
	table_map(vcpu->kernel_root, upcall.address & ~PAGE_MASK, *(u64 *)&shared[4], LEAF_KERNEL);
	return upcall.count < 10;
}

GUEST_TEST(vcpu_kernel_table_fills_the_own_space)
{
	u64 value = 0, root = page_new(), page = page_new();

	shared[4] = page;
	vcpu->kernel_root = root;
	*(u64 *)gp(page) = 99;
	/* valid before the access: no upcall */
	table_map(root, guest_own, page, LEAF_KERNEL);
	EQ(arch_try_load(guest_own, &value), 0);
	EQ(value, 99);
	EQ(upcall.count, 0);
	CHECK(*table_entry(root, guest_own, 0) & L4_PTE_ACCESSED);
	CHECK(!(*table_entry(root, guest_own, 0) & L4_PTE_DIRTY));
	EQ(arch_try_store(guest_own, 100), 0);
	CHECK(*table_entry(root, guest_own, 0) & L4_PTE_DIRTY);
	EQ(*(u64 *)gp(page), 100);
	/* made valid by the upcall */
	upcall.resolve = resolve_by_mapping;
	EQ(arch_try_load(guest_own + 0x5000, &value), 0);
	EQ(value, 100);
	EQ(upcall.count, 1);
	upcall.resolve = 0;
	/* not valid any more */
	*table_entry(root, guest_own, 0) = 0;
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, guest_own, guest_own + L4_PAGE_SIZE), OK);
	EQ(arch_try_load(guest_own, &value), 1);
	/* a user leaf is not for the kernel, a table must lie in guest RAM, a leaf too */
	table_map(root, guest_own + 0x6000, page, LEAF_RW);
	EQ(arch_try_load(guest_own + 0x6000, &value), 1);
	table_map(root, guest_own + 0x7000, GUEST_RAM, LEAF_KERNEL);
	EQ(arch_try_load(guest_own + 0x7000, &value), 1);
	*table_entry(root, guest_own + 0x10000000, 2) = GUEST_RAM | L4_PTE_VALID;
	EQ(arch_try_load(guest_own + 0x40000000, &value), 1);
	vcpu->kernel_root = GUEST_RAM;
	EQ(arch_try_load(guest_own + 0x50000000, &value), 1);
	/* a root that is not aligned, though what would be read of it is valid */
	for (u64 i = 0; i < 511; i++)
		((u64 *)gp(page))[i] = (*(u64 *)gp(root) & L4_PTE_ADDR_MASK) | L4_PTE_VALID;
	vcpu->kernel_root = page;
	EQ(arch_try_load(guest_own + 0x5000, &value), 0);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, guest_own, guest_own + 0x10000), OK);
	vcpu->kernel_root = page + 8;
	EQ(arch_try_load(guest_own + 0x5000, &value), 1);
}

GUEST_TEST(vcpu_kernel_table_cannot_replace_mappings)
{
	u64 value = 0, root = page_new(), page = page_new();

	vcpu->kernel_root = root;
	table_map(root, (u64)shared, page, LEAF_KERNEL);
	table_map(root, guest_ram + GUEST_RAM, page, LEAF_KERNEL);
	*(u64 *)gp(page) = 1;
	shared[0] = 2;
	EQ(arch_try_load((u64)shared, &value), 0);
	EQ(value, 2);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, (u64)shared, (u64)shared + L4_PAGE_SIZE), OK);
	EQ(arch_try_load((u64)shared, &value), 0);
	EQ(value, 2);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0, 0, ALL_ONES), OK);
	EQ(arch_try_load((u64)shared, &value), 0);
	EQ(value, 2);
}

GUEST_TEST(vcpu_resume_makes_the_next_upcall)
{
	/* Both events are set while disabled; enabling by hand and resuming must deliver one upcall for them.
	 */
	ERR(SYS(L4_SYS_SIGNAL, guest.kick, 0), OK);
	EQ(arch_try_trap(), 1);
	EQ(upcall.count, 1);
	EQ(upcall.reason, L4_EXIT_EXCEPTION);
	vcpu->irq_enabled = 1; /* pending stays: the next resume notices */
	EQ(arch_try_trap(), 1);
	EQ(upcall.count, 3);
	EQ(upcall.reason, L4_EXIT_EVENT);
	EQ(upcall.events, 2);
	EQ(vcpu->irq_enabled, 1);
}

/* refused enters */

#define REFUSED(space, want)                     \
	do {                                     \
		vcpu->exit_code = 99;            \
		EQ(enter(space), L4_EXIT_ERROR); \
		want;                            \
	} while (0)

GUEST_TEST(vcpu_enter_refuses_bad_spaces)
{
	user_call(PROGRAM(load), CODE_VADDR, 0);
	REFUSED(L4_ROOT_SLOT_CNODE, EQ(vcpu->exit_code, L4_ERR_TYPE));
	REFUSED(4000, EQ(vcpu->exit_code, L4_ERR_CAP));
	REFUSED(1UL << 40, EQ(vcpu->exit_code, L4_ERR_CAP));
	REFUSED(ALL_ONES, EQ(vcpu->exit_code, L4_ERR_CAP));
	REFUSED(guest.unconfigured, EQ(vcpu->exit_code, L4_ERR_UNBOUND));
	REFUSED(guest.foreign, EQ(vcpu->exit_code, L4_ERR_UNBOUND));
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
}

GUEST_TEST(vcpu_enter_refuses_bad_frames)
{
	static const u64 bad[] = { GUEST_RAM,
	                           GUEST_RAM - 0x80,
	                           GUEST_RAM - 8,
	                           ALL_ONES,
	                           ALL_ONES - 7,
	                           1UL << 63,
	                           0x2f59,
	                           0x2f5c,
	                           0x3000 - sizeof(struct l4_frame) + 8,
	                           1UL << 52,
	                           0x000ffffffffff000,
	                           (1UL << 47) + 0x2f58 };
	u64 good = vcpu->frame_gpa;

	user_call(PROGRAM(load), CODE_VADDR, 0);
	for (u64 i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		vcpu->frame_gpa = bad[i];
		REFUSED(guest.space[0], CHECK(vcpu->exit_code != L4_ERR_OK && vcpu->exit_code != 99));
	}
	vcpu->frame_gpa = good;
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	/* the last frame that fits */
	vcpu->frame_gpa = GUEST_RAM - sizeof(struct l4_frame);
	memcpy(gp(vcpu->frame_gpa), guest_frame, sizeof(struct l4_frame));
	*frame_ip(gp(GUEST_RAM - sizeof(struct l4_frame))) = CODE_VADDR + PROGRAM(load);
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
}

GUEST_TEST(vcpu_enter_refuses_instruction_pointers_outside)
{
	static const u64 bad[] = { 1UL << 47, 0xffff800000000000, ALL_ONES, 0x8000000000000000, 0xffffffff80000000 };

	for (u64 i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		user_call(0, CODE_VADDR, 0);
		*frame_ip(guest_frame) = bad[i];
		u64 reason = enter(guest.space[0]);

		/* CPUs find it before or after they are in user mode; some have no lowest bit or no top byte. */
		CHECK(reason == L4_EXIT_EXCEPTION || reason == L4_EXIT_FAULT);
		EQ((*frame_ip(guest_frame) | 1) << 8, (bad[i] | 1) << 8);
	}
	/* the gap between the user's last page and the end of its half */
	user_call(0, CODE_VADDR, 0);
	*frame_ip(guest_frame) = L4_USER_TOP;
	EQ(enter(guest.space[0]), L4_EXIT_FAULT);
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
}

static void without_entry(struct helper *self)
{
	vcpu->kernel_entry = 0;
	*(volatile u64 *)guest_own = 1;
}

GUEST_SCENE(vcpu_fault_without_entry_goes_to_the_fault_endpoint)
{
	struct sys r;

	guest_make(without_entry);
	helper_start(guest.helper);
	r = helper_fault(guest.helper);
	EQ(LABEL(r.tag), L4_FAULT_VCPU);
	EQ(r.m[0], L4_EXIT_FAULT);
	EQ(r.m[1], guest_own);
}

static u64 bad_entry;

static void with_bad_entry(struct helper *self)
{
	vcpu->kernel_entry = bad_entry;
	*(volatile u64 *)guest_own = 1;
}

/* An upcall entry that cannot be executed is reported to the fault Endpoint. */
GUEST_SCENE(vcpu_bad_entry_points_hurt_only_the_guest)
{
	bad_entry = 0xffffffff80000000;
	guest_make(with_bad_entry);
	helper_start(guest.helper);
	CHECK(LABEL(helper_fault(guest.helper).tag) != 0);
}

/* binding; threads without a vCPU */

static void idle(struct helper *self) {}

TEST(vcpu_calls_need_a_vcpu)
{
	ERR(SYS(L4_SYS_VCPU_ENTER, 0, 0), UNBOUND);
	ERR(SYS(L4_SYS_VCPU_RESUME, 0, 0), UNBOUND);
	ERR(SYS(L4_SYS_VCPU_WAIT, 0, 0), UNBOUND);
	ERR(SYS(L4_SYS_VCPU_TIMER, 0, 0), UNBOUND);
	ERR(SYS(L4_SYS_VCPU_FLUSH, 0, 0), UNBOUND);
}

TEST(vcpu_bind_errors)
{
	u64 cpu = obj_new(L4_TYPE_VCPU, 0), other = obj_new(L4_TYPE_VCPU, 0);
	u64 weak = cap_copy(cpu, L4_RIGHT_READ), frame = obj_new(L4_TYPE_FRAME, L4_PAGE_BITS);
	u64 raw = obj_new(L4_TYPE_THREAD, 0);
	struct helper *h = helper_make(idle, 0, 100);

	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, 4000, TEST_VADDR), CAP);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, frame, TEST_VADDR), TYPE);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, weak, TEST_VADDR), RIGHTS);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, cpu, TEST_VADDR + 8), ALIGN);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, cpu, L4_USER_TOP), RANGE);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, cpu, 0xffffffff80000000), RANGE);
	ERR(INV(raw, L4_THREAD_BIND_VCPU, cpu, TEST_VADDR), UNBOUND);
	EQ(frame_map(frame, TEST_VADDR, L4_RIGHT_READ), L4_ERR_OK);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, cpu, TEST_VADDR), MAPPED);
	ERR(INV(frame, L4_FRAME_UNMAP), OK);
	/* none of these bound it */
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, cpu, TEST_VADDR), OK);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, other, TEST_VADDR + L4_PAGE_SIZE), BUSY);
	ERR(INV(helper_make(idle, 0, 100)->thread, L4_THREAD_BIND_VCPU, cpu, TEST_VADDR + L4_PAGE_SIZE), BUSY);
	/* a zero page with the counter's rate in it */
	EQ(((struct l4_vcpu_page *)TEST_VADDR)->counter_hz, boot_info->counter_hz);
	EQ(((struct l4_vcpu_page *)TEST_VADDR)->frame_gpa, 0);
	helper_start(h);
	ERR(INV(h->thread, L4_THREAD_BIND_VCPU, other, TEST_VADDR + L4_PAGE_SIZE), STATE);
	helper_join(h);
}

GUEST_SCENE(vcpu_deleted_while_in_use)
{
	guest_make(guest_driven_from_outside);
	helper_start(guest.helper);
	SYS(L4_SYS_YIELD, 0, 0);
	helper_start(helper_make(idle, 0, 50));
	recv(parent_endpoint, 0); /* idle is done, so the guest waits in VCPU_WAIT */
	ERR(slot_delete(guest.vcpu), OK);
	ERR(slot_delete(guest.helper->thread), OK);
}

static void calls_root(struct helper *self)
{
	struct sys r;

	vcpu->irq_enabled = 1;
	r = SYS(L4_SYS_CALL, shared[5], TAG(3, 1, 0), 17);
	ERR(r, OK);
	EQ(r.tag, TAG(4, 2, 0));
	EQ(r.m[0], 18);
	EQ(r.m[1], 19);
	EQ(upcall.count, 1);
	EQ(upcall.events, 2);
	EQ(vcpu->irq_enabled, 1);
}

/* An event that comes while the guest kernel waits for an answer is delivered after it, and changes no result. */
GUEST_SCENE(vcpu_event_during_a_call)
{
	u64 ep = obj_new(L4_TYPE_ENDPOINT, 0), reply = obj_new(L4_TYPE_REPLY, 0);
	struct sys r;

	guest_make(calls_root);
	shared[5] = ep;
	helper_start(guest.helper);
	r = recv(ep, reply);
	EQ(r.m[0], 17);
	ERR(SYS(L4_SYS_SIGNAL, guest.kick, 0), OK);
	ERR(SYS(L4_SYS_SEND, reply, TAG(4, 2, 0), 18, 19), OK);
	helper_join(guest.helper);
}

static void suspended_in_user_mode(struct helper *self)
{
	user_call(PROGRAM(spin), 5, 6);
	shared[1] = 1;
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	EQ(vcpu->pending, 0);
	EQ(*frame_arg0(guest_frame), 5);
	EQ(*frame_ip(guest_frame), CODE_VADDR + PROGRAM(spin));
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	shared[1] = 2;
}

static void waits_for_user_mode(struct helper *self)
{
	for (int i = 0; i < 4 || !shared[1]; i++)
		SYS(L4_SYS_YIELD, 0, 0);
}

/* SUSPEND of a thread in guest user mode saves the user's registers; the thread resumes in the guest kernel. */
GUEST_SCENE(vcpu_suspended_in_user_mode)
{
	struct helper *h;

	guest_make(suspended_in_user_mode);
	helper_start(guest.helper);
	h = helper_make(waits_for_user_mode, 0, 100);
	helper_start(h);
	helper_join(h);
	ERR(INV(guest.helper->thread, L4_THREAD_SUSPEND), OK);
	EQ(shared[1], 1);
	guest_run();
	EQ(shared[1], 2);
}

/* Enter and exit do not change vector registers and the thread pointer, which the guest kernel switches. */
GUEST_TEST(vcpu_enter_keeps_vector_registers)
{
	arch_fpu_fill(0x7000);
	arch_tls_set(0x7777);
	user_call(PROGRAM(load), CODE_VADDR, 0);
	EQ(enter(guest.space[0]), L4_EXIT_SYSCALL);
	user_call(PROGRAM(spin), 0, 0);
	timer_in(TICKS_SHORT);
	EQ(enter(guest.space[0]), L4_EXIT_EVENT);
	EQ(arch_fpu_differ(0x7000), 0);
	EQ(arch_tls_get(), 0x7777);
}
