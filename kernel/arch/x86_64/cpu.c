// SPDX-License-Identifier: GPL-2.0-only
/* One CPU's set-up: descriptor tables, system-call registers, features, and switching between threads. */
#include <kernel/debug.h>
#include <kernel/vcpu.h>
#include "x86.h"

_Static_assert(offsetof(struct arch_cpu, self) == CPU_SELF, "entry.S");
_Static_assert(offsetof(struct arch_cpu, scratch) == CPU_SCRATCH, "entry.S");
_Static_assert(offsetof(struct arch_cpu, stack) == CPU_STACK, "entry.S");
_Static_assert(offsetof(struct arch_cpu, entry) == CPU_ENTRY, "entry.S");
_Static_assert(offsetof(struct arch_cpu, frame_end) == CPU_FRAME_END, "entry.S");

#define STUB_SIZE 16

struct cpu boot_cpu;

/* Exceptions that may come while the kernel's stack is in use or broken have stacks of their own (IST n + 1). */
enum { IST_DEBUG, IST_NMI, IST_DF, IST_MC, IST_STACKS };
static struct {
	char guard[L4_PAGE_SIZE], stack[L4_PAGE_SIZE];
} ist_stack[IST_STACKS] __aligned(L4_PAGE_SIZE);

bool stack_guard(u64 vaddr)
{
	const char *const guards[] = { boot_stack_guard, ist_stack[IST_DEBUG].guard, ist_stack[IST_NMI].guard,
	                               ist_stack[IST_DF].guard, ist_stack[IST_MC].guard };

	for (u32 i = 0; i < sizeof(guards) / sizeof(*guards); i++)
		if (vaddr - (u64)guards[i] < L4_PAGE_SIZE)
			return true;
	return false;
}

static struct {
	u16 low, selector;
	u8 ist, type;
	u16 middle;
	u32 high, reserved;
} idt[256];

struct pointer {
	u16 limit;
	u64 base;
} __attribute__((packed));

static void idt_init(void)
{
	struct pointer p = { sizeof(idt) - 1, (u64)idt };

	for (u32 i = 0; i < 256; i++) {
		u64 a = (u64)x86_stubs + i * STUB_SIZE;

		idt[i].low = a;
		idt[i].middle = a >> 16;
		idt[i].high = a >> 32;
		idt[i].selector = SEL_KERNEL_CODE;
		idt[i].ist = i == VECTOR_DEBUG ? IST_DEBUG + 1
		             : i == VECTOR_NMI ? IST_NMI + 1
		             : i == VECTOR_DF  ? IST_DF + 1
		             : i == VECTOR_MC  ? IST_MC + 1
		                               : 0;
		/* Breakpoint and overflow may be raised by software, as on Linux. */
		idt[i].type = i == 3 || i == 4 ? 0xee : 0x8e;
	}
	__asm__ volatile("lidt %0" : : "m"(p));
}

static void gdt_init(struct arch_cpu *c)
{
	u64 tss = (u64)&c->tss;
	struct pointer p = { sizeof(c->gdt) - 1, (u64)c->gdt };

	c->gdt[2] = 0x00af9b000000ffff; /* kernel code */
	c->gdt[3] = 0x00cf93000000ffff; /* kernel data */
	/*
	 * gdt[4] is the base that SYSRET counts from. It stays empty: there is no 32-bit user code, whose
	 * SYSCALL would come in elsewhere.
	 */
	c->gdt[5] = 0x00cff3000000ffff; /* user data, 0x2b */
	c->gdt[6] = 0x00affb000000ffff; /* user code, 0x33 */
	c->gdt[7] = (sizeof(struct tss) - 1) | (tss & 0xffffff) << 16 | 0x89UL << 40 | (tss >> 24 & 0xff) << 56;
	c->gdt[8] = tss >> 32;
	c->tss.iomap = sizeof(struct tss);
	c->tss.rsp0 = c->stack;
	for (u32 i = 0; i < IST_STACKS; i++)
		c->tss.ist[i] = (u64)(&ist_stack[i] + 1);
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
	                 "ltr %w4"
	                 :
	                 : "m"(p), "i"(SEL_KERNEL_CODE), "r"(0), "r"(0x18), "r"(SEL_TSS)
	                 : "rax", "memory");
}

static void features(void)
{
	u32 r[4], ext[4];
	/* PAE, OSFXSR, OSXMMEXCPT */
	u64 cr4 = BIT(5) | BIT(9) | BIT(10);

	cpuid(7, 0, ext);
	if (!(ext[1] & BIT(0)))
		panic("CPU lacks FSGSBASE");
	cr4 |= BIT(16);
	cpuid(1, 0, r);
	if (r[2] & BIT(26))
		cr4 |= BIT(18); /* OSXSAVE */
	write_cr4(cr4);
	write_cr0(read_cr0() | BIT(18)); /* AM: user mode may ask for alignment checks */
	harden_init();
	fpu_init(harden_eager_fpu());
}

void cpu_init(void)
{
	struct cpu *cpu = &boot_cpu;

	cpu->arch.self = cpu;
	cpu->arch.stack = (u64)boot_stack_top;
	mmu_load(&cpu->arch, arch_pa(boot_root));
	cpu_init_common(cpu);

	gdt_init(&cpu->arch);
	idt_init();
	wrmsr(MSR_GS_BASE, (u64)cpu);
	wrmsr(MSR_KERNEL_GS, 0);
	wrmsr(MSR_STAR, (u64)SEL_KERNEL_CODE << 32 | (u64)(SEL_USER_BASE | 3) << 48);
	wrmsr(MSR_LSTAR, (u64)arch_syscall);
	wrmsr(MSR_CSTAR, (u64)arch_syscall);
	wrmsr(MSR_FMASK, 0x47700); /* AC NT IOPL DF IF TF */
	features();
}

void arch_thread_init(struct thread *t)
{
	u8 *f = t->arch.fpu;

	t->arch.frame.flags = 0x202;
	/* Initial x87 control word and MXCSR (SDM vol. 1, 13.6). */
	f[0] = 0x7f;
	f[1] = 0x03;
	f[24] = 0x80;
	f[25] = 0x1f;
}

/* True if that loaded another address space. */
static inline bool load_mode(struct arch_cpu *c, struct thread *t)
{
	u64 root = t->root;

	c->frame_end = t->frame_end;
	c->entry = t->entry;
	if (unlikely(c->root == root))
		return false;
	event(EVENT_SPACE_SWITCH, root, 0);
	mmu_load(c, root);
	return true;
}

void arch_load_mode(struct thread *t) { load_mode(&this_cpu()->arch, t); }

/* FS and GS bases of user mode: from's are saved, to's are loaded. */
static inline void switch_bases(struct arch_thread *from, const struct arch_thread *to)
{
	__asm__ volatile("rdfsbase %0\n\twrfsbase %2\n\tswapgs\n\trdgsbase %1\n\twrgsbase %3\n\tswapgs"
	                 : "=&r"(from->fs_base), "=&r"(from->gs_base)
	                 : "r"(to->fs_base), "r"(to->gs_base));
}

/* DS, ES, FS, GS: 0 unless user mode loaded others: null selectors up to 3, or those of its own segments. */
static inline u32 selectors_used(void)
{
	u32 ds, es, fs, gs;

	__asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%fs, %2\n\tmov %%gs, %3"
	                 : "=r"(ds), "=r"(es), "=r"(fs), "=r"(gs));
	return ds | es | fs | gs;
}

/* Loading FS and GS changes their bases, so to's are loaded anew. While a thread runs, its own selectors_used is 0. */
static noinline void switch_selectors(struct arch_thread *from, struct arch_thread *to)
{
	static const u16 none[4];
	const u16 *s = to->selectors_used ? to->selectors : none;

	from->selectors_used = selectors_used();
	__asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tmov %%fs, %2\n\tmov %%gs, %3"
	                 : "=m"(from->selectors[0]), "=m"(from->selectors[1]), "=m"(from->selectors[2]),
	                   "=m"(from->selectors[3]));
	__asm__ volatile("mov %0, %%ds\n\tmov %1, %%es\n\tmov %2, %%fs\n\tswapgs\n\tmov %3, %%gs\n\twrgsbase %5\n\t"
	                 "swapgs\n\twrfsbase %4"
	                 :
	                 : "m"(s[0]), "m"(s[1]), "m"(s[2]), "m"(s[3]), "r"(to->fs_base), "r"(to->gs_base));
	to->selectors_used = 0;
}

static noinline void switch_to_guest(struct arch_cpu *c, struct thread *to)
{
	c->guest = to->vspace;
	harden_guest_changed();
}

/*
 * Threads of one address space share their selectors; no other space sees them. No branch predictor goes from one guest
 * to another. The idle loop's root is always the one in use, so it leaves address space and FPU as they are.
 */
void arch_switch(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &cpu->arch;

	switch_bases(&from->arch, &to->arch);
	if (load_mode(c, to) && unlikely(to->entry && c->guest != to->vspace))
		switch_to_guest(c, to);
	if (unlikely(selectors_used() | to->arch.selectors_used))
		switch_selectors(&from->arch, &to->arch);
	if (unlikely(c->fpu_off != (c->fpu_owner != to)) && likely(to != &cpu->idle))
		fpu_switch(to);
}

/* User mode reads CPUID itself. */
void arch_cpu_id(u64 *id) {}

bool arch_frame_valid(const struct l4_frame *f) { return !(READ_ONCE(f->ip) >> 47); }

void arch_frame_sanitise(struct l4_frame *f)
{
	f->flags = (f->flags & X86_FLAGS_USER) | 0x202;
	f->cs = 0x33;
	f->ss = 0x2b;
}

void arch_idle(void)
{
	__asm__ volatile("mov %0, %%rsp\n"
	                 "1:\tsti\n\thlt\n\tcli\n\tjmp 1b"
	                 :
	                 : "r"(this_cpu()->arch.stack)
	                 : "memory");
	__builtin_unreachable();
}

void arch_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void arch_dump_frame(const struct l4_frame *f)
{
	printk("l4:   ax %lx bx %lx cx %lx dx %lx si %lx di %lx bp %lx\n", f->ax, f->bx, f->cx, f->dx, f->si, f->di,
	       f->bp);
	printk("l4:   r8 %lx r9 %lx r10 %lx r11 %lx r12 %lx r13 %lx r14 %lx r15 %lx flags %lx cr2 %lx\n", f->r8, f->r9,
	       f->r10, f->r11, f->r12, f->r13, f->r14, f->r15, f->flags, read_cr2());
}
