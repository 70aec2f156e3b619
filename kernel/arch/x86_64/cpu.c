// SPDX-License-Identifier: GPL-2.0-only
/* One CPU's set-up, its features, and switching between threads. gate.c has the tables of the CPU. */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/vcpu.h>
#include "x86.h"

_Static_assert(offsetof(struct arch_cpu, self) == CPU_SELF, "entry.S");
_Static_assert(offsetof(struct arch_cpu, scratch) == CPU_SCRATCH, "entry.S");
_Static_assert(offsetof(struct arch_cpu, stack) == CPU_STACK, "entry.S");
_Static_assert(offsetof(struct arch_cpu, frame_end) == CPU_FRAME_END, "entry.S");
_Static_assert(offsetof(struct arch_cpu, guest_entry) == CPU_GUEST_ENTRY, "entry.S");
_Static_assert(offsetof(struct arch_cpu, entry) == CPU_ENTRY, "entry.S");

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
}

/* The CPU that runs, which has no GS base yet. */
void cpu_init(struct cpu *cpu, char *stack)
{
	cpu->arch.self = cpu;
	cpu->arch.stack = (u64)stack;
	mmu_load(&cpu->arch, arch_pa(boot_root));
	cpu_init_common(cpu);

	gate_init(cpu);
	features();
	if (cpu->number)
		harden_init_cpu();
	else
		harden_init();
	fpu_init(harden_fpu());
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

/* The gate looks at one, entry.S at the other. */
static inline void set_entry(struct arch_cpu *c, u64 entry)
{
	c->entry = entry;
	gate.entry = entry;
}

static inline void load_root(struct arch_cpu *c, u64 root)
{
	if (unlikely(c->root == root))
		return;
	event(EVENT_SPACE_SWITCH, root, 0);
	mmu_load(c, root);
}

void arch_load_mode(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;
	u64 end = t->frame_end, entry = t->entry, root = t->root;

	c->frame_end = end;
	set_entry(c, entry);
	load_root(c, root);
}

void arch_load_guest(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;
	u64 end = t->frame_end, entry = t->entry, root = t->root;

	c->frame_end = end;
	set_entry(c, entry);
	event(EVENT_SPACE_SWITCH, root, 0);
	mmu_load(c, root);
}

void arch_load_above(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;

	c->frame_end = t->frame_end;
	set_entry(c, t->entry);
	gate_load(c, t);
}

/* A selector that can be loaded, or else null: QEMU's virtual 8086 mode (see gate_from_kernel) has any. */
static u16 loadable(u16 selector)
{
	bool readable;

	__asm__("verr %1" : "=@ccz"(readable) : "r"(selector));
	return readable || selector < 4 ? selector : 0;
}

/* Loading FS and GS changes their bases, so to's are loaded anew. While a thread runs, its own selectors_used is 0. */
static noinline void switch_selectors(struct arch_thread *from, struct arch_thread *to)
{
	u16 s[4] = { 0 };

	for (u32 i = 0; to->selectors_used && i < sizeof(s) / sizeof(*s); i++)
		s[i] = loadable(to->selectors[i]);
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

/* Selectors and FPU. */
static inline void switch_rest(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &cpu->arch;

	if (unlikely(selectors_used() | to->arch.selectors_used))
		switch_selectors(&from->arch, &to->arch);
	if (unlikely(cpu->many))
		fpu_leave(cpu, from, to);
	if (unlikely(c->fpu_off != (c->fpu_owner != to)) && likely(to != &cpu->idle))
		fpu_switch(to);
}

/*
 * From or to a thread with a vCPU. A thread of mode above leaves the root as it is: L4 has another than it. The last
 * call of arch_switch, which spills nothing for it.
 */
static noinline void switch_guest(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &cpu->arch;

	if (to->entry == ENTRY_ABOVE) {
		gate_load(c, to);
	} else {
		if (c->above)
			gate_unload(c);
		if (to->root)
			load_root(c, to->root);
	}
	if (to->entry && c->guest != to->vspace) {
		c->guest = to->vspace;
		harden_guest_changed();
	}
	switch_rest(cpu, from, to);
	if (unlikely(c->fpu_off) && to->entry)
		fpu_take(to);
}

/*
 * Threads of one address space share their selectors; no other space sees them. No branch predictor goes from one guest
 * to another. Idle leaves the FPU as it is, and, where there is one CPU, the address space: it has no root then.
 */
void arch_switch(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &cpu->arch;

	switch_bases(&from->arch, &to->arch);
	c->frame_end = to->frame_end;
	set_entry(c, to->entry);
	if (unlikely(to->entry | c->above)) {
		switch_guest(cpu, from, to);
		return;
	}
	if (likely(to->root))
		load_root(c, to->root);
	switch_rest(cpu, from, to);
}

/* User mode reads CPUID itself. */
void arch_cpu_id(u64 *id) {}

void arch_frame_sanitise(struct l4_frame *f, bool above)
{
	f->flags = (f->flags & X86_FLAGS_USER) | 0x202;
	f->cs = above ? SEL_GUEST_CODE : USER_CS;
	f->ss = above ? SEL_GUEST_DATA : USER_SS;
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
