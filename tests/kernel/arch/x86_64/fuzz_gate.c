/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A guest kernel of mode above whose only job is to break out: random instructions, selectors, frames, flags, stack
 * pointers and system calls in ring 1, and what ring 3 can do below it. L4 must go on, ring 1 must stay ring 1, and
 * nothing of L4 but the gate may be read. One that cannot go on is started again; a seed ends early when it has ruined its
 * own program. Each test is one seed.
 */
#include "guest.h"

#define S0         guest.space[0]
#define ROUNDS     800UL
#define MOST_LIVES 60UL
/* Time of the guest, in microseconds, and how long it may do nothing: long enough for any round. */
#define BUDGET   150
#define PERIOD   500
#define PATIENCE 1500
#define CODE_MAX 96

#define LOW_CODE 0x8000UL /* what an eip of 16 bits reaches */
#define VM_FRAME 0x9000UL /* not executable */

enum word { DONE, STATE, BROKEN, LIVES, RETURNED, STOPPED };

/* First bytes of instructions that change privilege, or the state that decides on it; random ones follow. */
static const struct {
	u8 length, code[4];
} starts[] = {
	{ 2, { 0x0f, 0x01 } }, /* LGDT LIDT SGDT SIDT SMSW LMSW INVLPG SWAPGS STAC CLAC XSETBV VMMCALL ... */
	{ 2, { 0x0f, 0x00 } }, /* LLDT LTR STR SLDT VERR VERW */
	{ 2, { 0x0f, 0x20 } }, /* MOV from and to CR and DR */
	{ 2, { 0x0f, 0x21 } },
	{ 2, { 0x0f, 0x22 } },
	{ 2, { 0x0f, 0x23 } },
	{ 2, { 0x0f, 0x30 } }, /* WRMSR RDMSR RDPMC */
	{ 2, { 0x0f, 0x32 } },
	{ 2, { 0x0f, 0x33 } },
	{ 2, { 0x0f, 0x34 } }, /* SYSENTER SYSEXIT SYSRET */
	{ 2, { 0x0f, 0x35 } },
	{ 2, { 0x0f, 0x07 } },
	{ 3, { 0x48, 0x0f, 0x07 } },
	{ 2, { 0x0f, 0x06 } }, /* CLTS INVD WBINVD */
	{ 2, { 0x0f, 0x08 } },
	{ 2, { 0x0f, 0x09 } },
	{ 1, { 0xe4 } }, /* IN OUT INS OUTS */
	{ 1, { 0xe6 } },
	{ 1, { 0xec } },
	{ 1, { 0xee } },
	{ 1, { 0x6c } },
	{ 1, { 0x6e } },
	{ 1, { 0xfa } }, /* CLI STI HLT POPF */
	{ 1, { 0xfb } },
	{ 1, { 0xf4 } },
	{ 1, { 0x9d } },
	{ 1, { 0xcc } }, /* INT3 INT ICEBP UD2 */
	{ 1, { 0xcd } },
	{ 1, { 0xf1 } },
	{ 2, { 0x0f, 0x0b } },
	{ 1, { 0x8e } }, /* MOV to a segment register, LSS LFS LGS */
	{ 2, { 0x0f, 0xb2 } },
	{ 2, { 0x0f, 0xb4 } },
	{ 2, { 0x0f, 0xb5 } },
	{ 1, { 0xff } }, /* far CALL and JMP */
	{ 2, { 0x48, 0xff } },
	{ 1, { 0xcb } }, /* far RET, IRET */
	{ 2, { 0x48, 0xcb } },
	{ 1, { 0xcf } },
	{ 2, { 0x48, 0xcf } },
	{ 3, { 0xf3, 0x0f, 0xae } }, /* WRFSBASE WRGSBASE */
	{ 4, { 0xf3, 0x48, 0x0f, 0xae } },
	{ 4, { 0x66, 0x0f, 0x38, 0x82 } }, /* INVPCID */
	{ 2, { 0x0f, 0xc7 } },
};

static u64 weak;
static u64 low_page, frame_page; /* guest-physical addresses of what user mode has at LOW_CODE and VM_FRAME */

static u64 address(u64 *state)
{
	static const u64 values[] = { 0xffffffff80200000, 0xffffffff80210000, 0xffffffff80220000, 0xffffffffbfe01000,
	                              0xffffffffbfe01fd0, 0xffff800000000000, 0xffffffffffffffff, 0x00007ffffffffffe,
	                              0x0000800000000000, CODE_VADDR,         DATA_VADDR,         0,
	                              0xffffffffc0000000, 0xffffffffbffff000 };
	u64 r = random64(state);

	if (r % 8 == 0)
		return (u64)x86_64_try_failed;
	return r % 8 == 1 ? random64(state)
	                  : values[(r >> 8) % (sizeof(values) / 8)] + (r >> 32) % 512 * (r >> 20 & 15);
}

static u64 selector(u64 *state)
{
	u64 r = random64(state);

	return r & 7 ? (r >> 8) % 0x60 : r >> 48;
}

static u8 *put(u8 *at, const void *bytes, u64 length)
{
	memcpy(at, bytes, length);
	return at + length;
}

static u8 *put_random(u8 *at, u64 *state, u64 length)
{
	u64 r = random64(state);

	return put(at, &r, length);
}

/* mov $value, %rax ... r15 by its number */
static u8 *put_mov(u8 *at, u64 reg, u64 value)
{
	const u8 op[] = { (u8)(0x48 | reg >> 3), (u8)(0xb8 | (reg & 7)) };

	return put(put(at, op, 2), &value, 8);
}

static u8 *put_push(u8 *at, u64 value) { return put(put_mov(at, 0, value), "\x50", 1); }

/* A system call with random registers, the stack pointer too. The log is not filled. */
static u8 *put_call(u8 *at, u64 *state)
{
	u64 number = random64(state);

	number = number & 1 ? (number >> 8) % (L4_SYS_VCPU_PREEMPTED + 2) : number >> 32;
	at = put_mov(at, 0, number == L4_SYS_DEBUG_WRITE ? 0 : number);
	at = put_mov(at, 7, address(state));
	at = put_mov(at, 6, random64(state) % 16);
	at = put_mov(at, 2, address(state));
	at = put_mov(at, 4, address(state));
	return put(at, "\x0f\x05", 2);
}

/*
 * IRET of 32 bits with VM, which QEMU obeys in any ring: to ring 3 with whatever is in cs. It reads its frame below 4 GiB,
 * where ring 1 needs AC. The code that it goes to is random; not so with IOPL 3, where it could clear IF, which nothing
 * undoes (docs/limits.md).
 */
static u8 *put_virtual_8086(u8 *at, u64 *state)
{
	static const u8 set_ac[] = { 0x9c, 0x81, 0x0c, 0x24, 0, 0, 4, 0, 0x9d }; /* pushf; or AC, (rsp); popf */
	static const u16 instructions[] = { 0x0b0f, 0x050f, 0x9090, 0xfeeb, 0x80cd, 0xf4f4 };
	u64 r = random64(state), *page = gp(low_page), one = instructions[(r >> 32) % 6] * 0x0001000100010001UL;
	u32 flags = 0x20202 | (r & 0x47dd5), frame[9] = { LOW_CODE | (r >> 52 & ~1UL), 0, flags, LOW_CODE };

	for (u64 i = 0; i < L4_PAGE_SIZE / 8; i++)
		page[i] = (flags & 0x3000) == 0x3000 ? one : random64(state);
	frame[1] = (flags & 0x3000) == 0x3000 ? random64(state) % 0x60 : selector(state);
	for (u64 i = 4; i < 9; i++)
		frame[i] = selector(state);
	memcpy(gp(frame_page), frame, sizeof(frame));
	at = put_mov(put(at, set_ac, sizeof(set_ac)), 4, VM_FRAME);
	return put(at, "\xcf", 1);
}

static u64 build(u8 *code, u64 *state)
{
	u64 r = random64(state), kind = (r >> 8) % (sizeof(starts) / sizeof(starts[0]));
	u8 *at = code;

	switch (r % 9) {
	case 0:
	case 1:
	case 2:
		at = put_random(put(put_mov(at, 1, random64(state)), starts[kind].code, starts[kind].length), state, 8);
		break;
	case 3: /* IRETQ of a crafted frame */
		at = put_push(at, selector(state));
		at = put_push(at, address(state));
		at = put_push(at, r & 1UL << 40 ? 0x202 : random64(state));
		at = put_push(at, selector(state));
		at = put(put_push(at, address(state)), "\x48\xcf", 2);
		break;
	case 4: /* far return; a selector */
		at = put_push(at, selector(state));
		at = put(put_push(at, address(state)), "\x48\xcb", 2);
		break;
	case 5:
		at = put_mov(at, 0, selector(state));
		at = put_random(put(at, "\x8e", 1), state, 1);
		break;
	case 6:
		at = put_call(at, state);
		break;
	case 7:
		at = put_virtual_8086(at, state);
		break;
	default: /* anything, on what a register names */
		at = put_random(put_random(put_mov(at, 6, address(state)), state, 8), state, 7);
	}
	return at - code;
}

/* Where the emulator gives ring 1 ring 0 for a null SS (boot_info.weak_modes), that is not tried again. */
static void leave_out_stack_segment(u8 *code, const u8 *end)
{
	for (; weak && code < end; code++)
		if ((code[0] == 0x8e && (code[1] >> 3 & 7) == 2) || (code[0] == 0x0f && code[1] == 0xb2))
			code[0] = code[1] = 0x90;
}

static void try(u8 *end, u64 rdi, u64 rax)
{
	u64 failed;

	*end = 0xc3;
	leave_out_stack_segment(gp(LARGE_GPA), end);
	upcall.resolve = x86_64_leave_code;
	failed = x86_64_try_code(gp(LARGE_GPA), rdi, rax);
	asm volatile("cld");
	shared[failed ? STOPPED : RETURNED]++;
}

static void in_ring_1(u64 *state)
{
	u8 *code = gp(LARGE_GPA);

	code += build(code, state);
	try(code, address(state), random64(state));
}

static void in_ring_3(u64 *state)
{
	u8 *code = gp(CODE_GPA + 0x800);

	code[build(code, state)] = 0xf4;
	user_call(0x800, address(state), random64(state));
	enter(S0);
	shared[STOPPED]++;
}

/* What L4 reads of the vCPU page, and the ways in that it is told. */
static void by_l4(u64 *state)
{
	u64 *frame = (u64 *)&vcpu->kernel_frame, w[6];

	if (random64(state) & 1) {
		for (u64 n = 0; n < sizeof(struct l4_frame) / 8; n++)
			frame[n] = n < 15 ? random64(state) : n & 1 ? selector(state) : address(state);
		vcpu->kernel_irq = 0;
		try(put(put_mov(gp(LARGE_GPA), 0, L4_SYS_VCPU_RESUME), "\x0f\x05", 2), 0, L4_SYS_VCPU_RESUME);
	} else {
		for (u64 n = 0; n < 6; n++)
			w[n] = address(state);
		sys(L4_SYS_VCPU_ENTRIES, 0, 0, w, 0);
		in_ring_3(state);
		arch_guest_start();
	}
}

static void look(void)
{
	static const u64 hidden[] = { 0xffff800000000000, 0xffff800000200000, 0xffffffff80200000 - L4_PAGE_SIZE,
	                              0xffffffffbfe00000, 0xfffffffffffff000 };
	u64 value, flags;
	u16 cs;

	asm volatile("mov %%cs, %0; pushf; pop %1" : "=r"(cs), "=r"(flags));
	shared[BROKEN] += cs != 0x49 || (flags & 0x3200) != 0x200;
	upcall.resolve = 0;
	for (u64 i = 0; i < sizeof(hidden) / 8; i++)
		shared[BROKEN] += !arch_try_load(hidden[i], &value);
}

static void breaker(struct helper *self)
{
	u64 state = shared[STATE];

	table_map(user_root, DATA_VADDR, page_new(), LEAF_RW);
	low_page = page_new();
	frame_page = page_new();
	table_map(user_root, LOW_CODE, low_page, LEAF_RX);
	table_map(user_root, VM_FRAME, frame_page, LEAF_RW);
	vcpu->kernel_entry = (u64)x86_64_upcall_apart;
	while (shared[DONE] < ROUNDS) {
		u64 r = random64(&state);

		shared[STATE] = state;
		shared[DONE]++;
		vcpu->user_entry = (u64)x86_64_try_failed;
		vcpu->kernel_sp = (u64)gp(LARGE_GPA + 0x1000);
		vcpu->frame_gpa = FRAME_END_GPA - sizeof(struct l4_frame);
		vcpu->irq_enabled = 0;
		vcpu->pending = 0;
		if (r % 4)
			in_ring_1(&state);
		else if (r % 8)
			in_ring_3(&state);
		else
			by_l4(&state);
		if (r >> 60 == 0)
			look();
	}
}

/* A later life: the program has been moved to its place by the first one. */
static void again(struct helper *self)
{
	guest_init();
	breaker(self);
	helper_exit(self);
}

static void restart(void)
{
	shared[LIVES]++;
	MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
	arch_frame_call((struct l4_frame *)&root_utcb->mr[L4_FRAME_MR], (void *)((u64)again + ARCH_GUEST_BASE),
	                (u64)guest.helper + ARCH_GUEST_BASE, helper_stack(guest.helper) + ARCH_GUEST_BASE);
	MUST(INV(guest.helper->thread, L4_THREAD_WRITE_REGS));
	MUST(INV(guest.helper->thread, L4_THREAD_RESUME));
}

/* Runs below the guest, whose time ends often: so it is preempted anywhere. */
static void run(u64 seed)
{
	u64 reply = obj_new(L4_TYPE_REPLY, 0), last = 0, since = l4_counter();
	u64 patience = boot_info->counter_hz / 1000000 * PATIENCE;

	weak = boot_info->weak_modes >> L4_GUEST_ABOVE & 1;
	shared[STATE] = seed * 0x9e3779b97f4a7c15;
	guest_make_at(breaker, GUEST_ABOVE);
	MUST(INV(guest.helper->thread, L4_THREAD_SET_SCHED, sched_new(BUDGET, PERIOD), 100, 100));
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, 99, L4_PRIORITIES - 1));
	helper_start(guest.helper);
	while (shared[DONE] < ROUNDS && shared[LIVES] < MOST_LIVES) {
		if (shared[DONE] != last)
			since = l4_counter();
		last = shared[DONE];
		if (!sys(L4_SYS_NB_RECV, parent_endpoint, 0, (u64[6]){ 0 }, reply).error ||
		    l4_counter() - since > patience) {
			restart();
			since = l4_counter();
		}
	}
	MUST(INV(guest.helper->thread, L4_THREAD_SUSPEND));
	MUST(INV(L4_ROOT_SLOT_THREAD, L4_THREAD_SET_SCHED, L4_ROOT_SLOT_SCHED, L4_ROOT_PRIORITY, L4_PRIORITIES - 1));
	print("# seed %lu: %lu rounds, %lu returned, %lu were stopped, %lu lives\n", seed, shared[DONE],
	      shared[RETURNED], shared[STOPPED], shared[LIVES]);
	EQ(shared[BROKEN], 0);
	CHECK(shared[DONE] > 100 && shared[RETURNED] && shared[STOPPED] > 50);
}

#define SEED(n) \
	TEST(x86_break_out_##n) { run(n); }

/* clang-format off */
SEED(1) SEED(2) SEED(3) SEED(4) SEED(5) SEED(6) SEED(7) SEED(8)
