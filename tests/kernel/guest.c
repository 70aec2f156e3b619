/* SPDX-License-Identifier: GPL-2.0-only */
/* The small guest kernel: how it is made, its page tables, its upcalls. */
#include "guest.h"

struct guest guest;
struct upcall upcall;
u64 user_root;
volatile struct l4_vcpu_page *vcpu = (volatile struct l4_vcpu_page *)L4_GUEST_VCPU_VADDR;
u64 guest_ram, guest_own;
enum guest_place guest_place;

static void (*guest_body)(struct helper *);
static u64 heap;

static void guest_main(struct helper *self)
{
	guest.helper = self;
	if (fork_base)
		vcpu = (volatile struct l4_vcpu_page *)(fork_base + L4_GUEST_VCPU_VADDR);
	guest_init();
	((void (*)(struct helper *))((u64)guest_body + fork_base))(self);
}

/* Makes all objects before the fork, because the fork copies `guest`, which has their slots. */
void guest_make_at(void (*body)(struct helper *), enum guest_place where)
{
	u64 other = obj_new(L4_TYPE_VSPACE, L4_VSPACE_MIN_BITS);

	guest_body = body;
	upcall = (struct upcall){ 0 };
	guest.vcpu = obj_new(L4_TYPE_VCPU, 0);
	guest.ram = obj_new(L4_TYPE_FRAME, GUEST_RAM_BITS);
	guest.attached = cap_copy(guest.ram, L4_RIGHT_ALL);
	guest.mapped = cap_copy(guest.ram, L4_RIGHT_ALL);
	guest.event = obj_new(L4_TYPE_NOTIFICATION, 0);
	guest.kick = cap_mint(guest.event, L4_RIGHT_WRITE, 2);
	guest.read_only_kick = cap_mint(guest.event, L4_RIGHT_READ, 4);
	guest.foreign = obj_new(L4_TYPE_GUESTSPACE, 0);
	guest.unconfigured = obj_new(L4_TYPE_GUESTSPACE, 0);
	for (int i = 0; i < GUEST_TEST_SPACES; i++)
		guest.space[i] = obj_new(L4_TYPE_GUESTSPACE, 0);
	guest.free = slots_new(GUEST_FREE_SLOTS);
	fork_base = where == GUEST_LOW ? 0 : ARCH_GUEST_BASE;
	fork_mode = where == GUEST_ABOVE ? L4_GUEST_ABOVE : L4_GUEST_BESIDE;
	guest_ram = fork_base ? ARCH_GUEST_RAM : L4_GUEST_RAM_VADDR;
	guest_own = fork_base ? ARCH_GUEST_OWN : NO_VADDR;
	guest.helper = helper_fork(guest_main, 0, 100);

	u64 vspace = guest_vspace = guest.helper->vspace;

	MUST(INV(vspace, L4_VSPACE_MAP, guest.mapped, guest_ram, L4_RIGHT_ALL));
	MUST(INV(vspace, L4_VSPACE_ATTACH, guest.attached, 0));
	for (int i = 0; i < GUEST_TEST_SPACES; i++)
		MUST(INV(guest.space[i], L4_GUESTSPACE_CONFIGURE, vspace));
	MUST(INV(guest.foreign, L4_GUESTSPACE_CONFIGURE, other));
	MUST(INV(guest.helper->thread, L4_THREAD_BIND_VCPU, guest.vcpu, fork_base + L4_GUEST_VCPU_VADDR));
	MUST(INV(guest.helper->thread, L4_THREAD_BIND_NOTIFICATION, guest.event));
	fork_base = 0;
}

void guest_make(void (*body)(struct helper *))
{
	enum guest_place where = guest_place;

	guest_place = GUEST_LOW;
	guest_make_at(body, where);
}

void guest_run(void)
{
	helper_start(guest.helper);
	helper_join(guest.helper);
}

void guest_run_losing(u64 page)
{
	MUST(INV(guest.helper->vspace, L4_VSPACE_ATTACH, page, GUEST_RAM));
	shared[11] = page;
	guest_run();
	EQ(shared[12], 1);
}

/* Called by arch_upcall_entry with events disabled. */
void guest_upcall(void);
void guest_upcall(void)
{
	struct l4_frame *frame = (struct l4_frame *)&vcpu->kernel_frame;

	upcall.count++;
	upcall.reason = vcpu->exit_reason;
	upcall.code = vcpu->exit_code;
	upcall.address = vcpu->fault_addr;
	upcall.access = vcpu->fault_access;
	upcall.present = vcpu->fault_present;
	upcall.irq = vcpu->kernel_irq;
	if (upcall.reason == L4_EXIT_EVENT) {
		vcpu->pending = 0;
		for (int i = 0; i < L4_GUEST_EVENT_WORDS; i++)
			upcall.events |= __atomic_exchange_n(&vcpu->events.word[i], 0, __ATOMIC_SEQ_CST);
		if (upcall.event)
			upcall.event();
	} else if (!upcall.resolve || !upcall.resolve()) {
		*frame_ip(frame) = (u64)arch_fixup;
	}
	print("# VCPU_RESUME returned 0x%lx\n", SYS(L4_SYS_VCPU_RESUME, 0, 0).error);
	failures++;
	helper_exit(guest.helper);
}

void guest_init(void)
{
	heap = HEAP_GPA;
	if (vcpu->mode == L4_GUEST_ABOVE)
		arch_guest_start();
	vcpu->kernel_entry = (u64)arch_upcall_entry;
	vcpu->kernel_root = ALL_ONES;
	vcpu->frame_gpa = FRAME_END_GPA - sizeof(struct l4_frame);
	memcpy(gp(CODE_GPA), arch_user_load, arch_user_count_end - arch_user_load);
	user_root = table_new();
	for (int i = 0; i < GUEST_TEST_SPACES; i++)
		ERR(INV(guest.space[i], L4_GUESTSPACE_SET_ROOT, user_root), OK);
}

u64 page_new(void)
{
	u64 gpa = heap;

	heap += L4_PAGE_SIZE;
	CHECK(heap <= LARGE_GPA);
	memset(gp(gpa), 0, L4_PAGE_SIZE);
	return gpa;
}

u64 *table_entry(u64 root, u64 vaddr, int level)
{
	u64 *table = gp(root);

	for (int at = 3; at > level; at--) {
		u64 *entry = &table[vaddr >> (12 + 9 * at) & 511];

		if (!(*entry & L4_PTE_VALID))
			*entry = page_new() | L4_PTE_VALID;
		table = gp(*entry & L4_PTE_ADDR_MASK);
	}
	return &table[vaddr >> (12 + 9 * level) & 511];
}

void table_map(u64 root, u64 vaddr, u64 gpa, u64 flags) { *table_entry(root, vaddr, 0) = gpa | flags; }

u64 table_new(void)
{
	u64 root = page_new();

	table_map(root, CODE_VADDR, CODE_GPA, LEAF_RX);
	return root;
}

u64 enter(u64 space)
{
	u64 reason;

	/* VCPU_ENTER was preempted before the flush queue was empty: repeat it. */
	do {
		vcpu->irq_enabled = 0;
		reason = arch_vcpu_enter((struct l4_vcpu_page *)vcpu, space);
		EQ(vcpu->irq_enabled, 0);
	} while (reason == L4_EXIT_EVENT && !vcpu->pending && vcpu->flush_count);
	if (reason < ENTER_FAILED)
		EQ(vcpu->exit_reason, reason);
	return reason;
}

void user_call(u64 program, u64 arg0, u64 arg1)
{
	arch_frame_call(guest_frame, (void *)(CODE_VADDR + program), arg0, USER_STACK);
	*frame_arg1(guest_frame) = arg1;
}

u64 user_load(u64 space, u64 vaddr, u64 *value)
{
	u64 reason;

	user_call(PROGRAM(load), vaddr, 0);
	reason = enter(space);
	if (reason == L4_EXIT_SYSCALL) {
		*value = *frame_result(guest_frame);
		return 1;
	}
	EQ(reason, L4_EXIT_FAULT);
	return 0;
}

u64 user_store(u64 space, u64 vaddr, u64 value)
{
	u64 reason;

	user_call(PROGRAM(store), vaddr, value);
	reason = enter(space);
	if (reason != L4_EXIT_SYSCALL)
		EQ(reason, L4_EXIT_FAULT);
	return reason == L4_EXIT_SYSCALL;
}

/* Queues one flush; the caller leaves room in the queue. */
void flush(u64 space, u64 op, u64 start, u64 end)
{
	volatile struct l4_flush_entry *entry = &vcpu->flush[vcpu->flush_count];

	entry->space = space;
	entry->op = op;
	entry->start = start;
	entry->end = end;
	vcpu->flush_count++;
}
