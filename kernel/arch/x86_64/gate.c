// SPDX-License-Identifier: GPL-2.0-only
/*
 * The tables of the CPU that must be mapped whatever runs, the stacks on which it enters L4, and what the gate is told
 * about a thread of mode above. docs/x86_64-gate.md has the whole.
 */
#include <kernel/lock.h>
#include <kernel/vcpu.h>
#include <kernel/vspace.h>
#include "gate.h"
#include "x86.h"

#define GATE_RO     __attribute__((__section__(".gate.ro")))
#define GATE_STACKS __attribute__((__section__(".bss.gate")))

_Static_assert(offsetof(struct gate, root_k) == GATE_ROOT_K, "gate.S");
_Static_assert(offsetof(struct gate, root_g) == GATE_ROOT_G, "gate.S");
_Static_assert(offsetof(struct gate, syscall_frame) == GATE_SYSCALL_FRAME, "gate.S");
_Static_assert(offsetof(struct gate, fault_frame) == GATE_FAULT_FRAME, "gate.S");
_Static_assert(offsetof(struct gate, exit_frame) == GATE_EXIT_FRAME, "gate.S");

#define GUEST_FRAME { 0, SEL_GUEST_CODE, 0x202, 0, SEL_GUEST_DATA }
GATE_RO struct gate gate = { .syscall_frame = GUEST_FRAME, .fault_frame = GUEST_FRAME };

/* SDM vol. 3, 8.7: 64-bit TSS. What is behind it would be the I/O bitmap, so the descriptor's limit is exact. */
static GATE_RO struct tss {
	u32 reserved0;
	u64 rsp0, rsp1, rsp2;
	u64 reserved1;
	u64 ist[7];
	u64 reserved2;
	u16 reserved3, iomap;
} __attribute__((packed)) tss[L4_CPUS_MAX];

static GATE_RO struct {
	u16 low, selector;
	u8 ist, type;
	u16 middle;
	u32 high, reserved;
} idt[256] = { { .type = 0 } };

/*
 * All have been accessed, as the CPU could not write that here. gdt[4] is the base that SYSRET counts from. It stays
 * empty: there is no 32-bit user code, whose SYSCALL would come in elsewhere.
 */
#define GDT_TSS(n) ((n) ? 11 + 2 * ((n) - 1) : SEL_TSS / 8) /* of CPU n */
static GATE_RO u64 gdt[GDT_TSS(L4_CPUS_MAX)] = {
	[SEL_KERNEL_CODE / 8] = 0x00af9b000000ffff,   [SEL_KERNEL_CODE / 8 + 1] = 0x00cf93000000ffff,
	[SEL_USER_BASE / 8 + 1] = 0x00cff3000000ffff, [SEL_USER_BASE / 8 + 2] = 0x00affb000000ffff,
	[SEL_GUEST_CODE / 8] = 0x00afbb000000ffff,    [SEL_GUEST_DATA / 8] = 0x00cfb3000000ffff,
};

/*
 * Where the CPU pushes: from ring 1 and 3 on the first; exceptions that may come while another stack is in use or broken
 * have one each. In mode above page faults have the gate's page, below the place to which the gate moves what the CPU
 * pushed for user mode. A guest kernel of mode above can read and write its stacks, so other threads have others: on the
 * gate's there is never anything of them.
 */
enum { STACK_ENTRY, STACK_DEBUG, STACK_PF, STACK_NMI, STACK_DF, STACK_MC, STACKS };
#define OTHERS (STACK_PF + 1)
struct stack {
	char guard[L4_PAGE_SIZE], stack[L4_PAGE_SIZE];
};
static GATE_STACKS struct stack stacks[STACKS] __aligned(L4_PAGE_SIZE);
static struct stack other_stacks[OTHERS] __aligned(L4_PAGE_SIZE);

/* Of a CPU but the first, where there is no mode above. What overflows into another of its exceptions' is the end. */
static struct {
	char guard[L4_PAGE_SIZE], kernel[4 * L4_PAGE_SIZE], exceptions_guard[L4_PAGE_SIZE];
	char exceptions[STACKS][L4_PAGE_SIZE];
} more_stacks[L4_CPUS_MAX - 1] __aligned(L4_PAGE_SIZE);

char *gate_kernel_stack(u32 n) { return more_stacks[n - 1].exceptions_guard; }

u64 gate_page[L4_PAGE_SIZE / 8] __aligned(L4_PAGE_SIZE);
/* Of the page as a guest kernel sees it: the user's stack pointer, a fault's address and frame. */
#define GATE_WORDS 2
#define FAULT_WORD (L4_GATE_FAULT_FRAME % L4_PAGE_SIZE / 8)
_Static_assert(GATE_WORDS + L4_PAGE_SIZE / 8 - FAULT_WORD == ARCH_GATE_WORDS, "struct arch_thread");

bool stack_guard(u64 vaddr)
{
	for (u32 i = 0; i < STACKS; i++)
		if (vaddr - (u64)stacks[i].guard < L4_PAGE_SIZE ||
		    (i < OTHERS && vaddr - (u64)other_stacks[i].guard < L4_PAGE_SIZE))
			return true;
	for (u32 i = 0; i < L4_CPUS_MAX - 1; i++)
		if (vaddr - (u64)more_stacks[i].guard < L4_PAGE_SIZE ||
		    vaddr - (u64)more_stacks[i].exceptions_guard < L4_PAGE_SIZE)
			return true;
	return vaddr - (u64)boot_stack_guard < L4_PAGE_SIZE;
}

struct pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

static void set_handler(u32 vector, u64 handler)
{
	idt[vector].low = handler;
	idt[vector].middle = handler >> 16;
	idt[vector].high = handler >> 32;
}

static void idt_load(void)
{
	struct pointer p = { sizeof(idt) - 1, (u64)idt };

	__asm__ volatile("lidt %0" : : "m"(p));
}

static void idt_init(void)
{
	for (u32 i = 0; i < 256; i++) {
		set_handler(i, (u64)gate_stubs + i * GATE_STUB_SIZE);
		idt[i].selector = SEL_KERNEL_CODE;
		idt[i].ist = i == VECTOR_DEBUG ? STACK_DEBUG
		             : i == VECTOR_NMI ? STACK_NMI
		             : i == VECTOR_DF  ? STACK_DF
		             : i == VECTOR_MC  ? STACK_MC
		             : i == VECTOR_PF  ? STACK_PF
		                               : 0;
		/* Breakpoint and overflow may be raised by software, as on Linux. */
		idt[i].type = i == 3 || i == 4 ? 0xee : 0x8e;
	}
}

bool gate_holds(void)
{
	u64 ring_0;

	set_handler(VECTOR_BP, (u64)gate_probe_ring_0);
	set_handler(VECTOR_GP, (u64)gate_probe_ring_1);
	ring_0 = gate_probe();
	set_handler(VECTOR_BP, (u64)gate_stubs + VECTOR_BP * GATE_STUB_SIZE);
	set_handler(VECTOR_GP, (u64)gate_stubs + VECTOR_GP * GATE_STUB_SIZE);
	return !ring_0;
}

bool gate_fpu_traps(void *area)
{
	u64 ignored;

	set_handler(VECTOR_NM, (u64)fpu_probe_trapped);
	set_handler(VECTOR_UD, (u64)fpu_probe_trapped);
	ignored = fpu_probe(area);
	set_handler(VECTOR_NM, (u64)gate_stubs + VECTOR_NM * GATE_STUB_SIZE);
	set_handler(VECTOR_UD, (u64)gate_stubs + VECTOR_UD * GATE_STUB_SIZE);
	return !ignored;
}

/* The stacks of mode above, or those of all other threads. */
static void use_stacks(struct arch_cpu *c, bool above)
{
	const struct stack *s = above ? stacks : other_stacks;

	tss[0].rsp0 = (u64)(&s[STACK_ENTRY] + 1);
	tss[0].ist[STACK_DEBUG - 1] = (u64)(&s[STACK_DEBUG] + 1);
	tss[0].ist[STACK_PF - 1] = above ? L4_GATE_FAULT_FRAME : (u64)(&s[STACK_PF] + 1);
	c->above = above;
}

/* Whose the TSS is tells, where the GS base may be the user's, which CPU it is. */
struct cpu *gate_cpus[L4_CPUS_MAX + 8];

static void gdt_init(struct cpu *cpu)
{
	struct tss *s = &tss[cpu->number];
	u64 at = (u64)s, *d = &gdt[GDT_TSS(cpu->number)];
	struct pointer p = { sizeof(gdt) - 1, (u64)gdt };

	s->iomap = sizeof(*s);
	d[0] = (sizeof(*s) - 1) | (at & 0xffffff) << 16 | 0x89UL << 40 | (at >> 24 & 0xff) << 56;
	d[1] = at >> 32;
	gate_cpus[GDT_TSS(cpu->number) / 2] = cpu;
	if (cpu->number) {
		s->rsp0 = (u64)(more_stacks[cpu->number - 1].exceptions + 1);
		for (u32 i = 1; i < STACKS; i++)
			s->ist[i - 1] = (u64)(more_stacks[cpu->number - 1].exceptions + i + 1);
	} else {
		for (u32 i = STACK_NMI; i < STACKS; i++)
			s->ist[i - 1] = (u64)(&stacks[i] + 1);
		use_stacks(&cpu->arch, false);
	}
	__asm__ volatile("lgdt %0\n\t"
	                 "push %1\n\t"
	                 "lea 1f(%%rip), %%rax\n\t"
	                 "push %%rax\n\t"
	                 "lretq\n"
	                 "1:\tmov %2, %%ds\n\t"
	                 "mov %2, %%es\n\t"
	                 "mov %2, %%fs\n\t"
	                 "mov %2, %%gs\n\t"
	                 "mov %3, %%ss\n\t"
	                 "lldt %w2\n\t" /* none: after reset it is the first 64 KiB of addresses, user mode's memory */
	                 "ltr %w4"
	                 :
	                 : "m"(p), "i"(SEL_KERNEL_CODE), "r"(0), "r"(0x18), "r"(8 * GDT_TSS(cpu->number))
	                 : "rax", "memory");
}

void gate_set_syscall(u64 entry)
{
	wrmsr(MSR_LSTAR, entry);
	wrmsr(MSR_CSTAR, entry);
}

void gate_init(struct cpu *cpu)
{
	gdt_init(cpu);
	if (!cpu->number)
		idt_init();
	idt_load();
	wrmsr(MSR_GS_BASE, (u64)cpu);
	wrmsr(MSR_KERNEL_GS, 0);
	wrmsr(MSR_STAR, (u64)SEL_KERNEL_CODE << 32 | (u64)(SEL_USER_BASE | 3) << 48);
	gate_set_syscall(cpu->number ? (u64)arch_syscall_many : (u64)arch_syscall);
	wrmsr(MSR_FMASK, 0x67700); /* AC VM NT IOPL DF IF TF */
}

/*
 * All that ring 1 can write, and so read, becomes the thread's: what the CPU and the gate have stored for the last one,
 * or its ring 1 has written, is no other guest's to see. Its words are kept for it.
 */
static void take_page(struct arch_cpu *c, struct thread *t)
{
	volatile u64 *words = (volatile u64 *)GATE_VADDR;

	for (u32 i = 0; i < L4_PAGE_SIZE / 8; i++) {
		u32 k = i < GATE_WORDS ? i : i - FAULT_WORD + GATE_WORDS;
		bool kept = i < GATE_WORDS || i >= FAULT_WORD;

		if (kept && c->gate_owner)
			((struct thread *)c->gate_owner)->arch.gate[k] = words[i];
		words[i] = kept ? t->arch.gate[k] : 0;
	}
	for (u32 i = 0; i < STACKS; i++)
		memset(stacks[i].stack, 0, L4_PAGE_SIZE);
	c->gate_owner = t;
}

/* The current thread is of mode above: no root is loaded before it is left to. */
void gate_load(struct arch_cpu *c, struct thread *t)
{
	const struct vcpu *v = t->vcpu;
	u64 entry = v ? v->entry[VCPU_SYSCALL] : 0;

	if (unlikely(!c->above))
		use_stacks(c, true);
	if (unlikely(c->gate_owner != t))
		take_page(c, t);
	gate.root_g = t->root;
	/* Without an entry, an address that is never mapped: the guest kernel hears of the fault. */
	gate.syscall_frame.ip = entry ? entry : L4_GUEST_IMAGE_END;
	gate.fault_frame.ip = v ? v->entry[VCPU_FAULT] : 0;
}

void gate_unload(struct arch_cpu *c) { use_stacks(c, false); }

void arch_thread_forget(struct thread *t)
{
	for (u32 n = 0; n < cpu_count; n++) {
		struct arch_cpu *c = &cpus[n]->arch;

		if (c->fpu_owner == t)
			c->fpu_owner = NULL;
		if (c->gate_owner == t)
			c->gate_owner = NULL;
	}
}
