// SPDX-License-Identifier: GPL-2.0-only
/* One hart's set-up, and switching between threads. */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/vcpu.h>
#include "riscv.h"

_Static_assert(offsetof(struct arch_cpu, scratch) == CPU_SCRATCH, "entry.S");
_Static_assert(offsetof(struct arch_cpu, stack) == CPU_STACK, "entry.S");
_Static_assert(offsetof(struct arch_cpu, entry) == CPU_ENTRY, "entry.S");
_Static_assert(offsetof(struct arch_cpu, frame) == CPU_FRAME, "entry.S");
_Static_assert(offsetof(struct arch_cpu, fs_mask) == CPU_FS_MASK, "entry.S");
_Static_assert(offsetof(struct arch_cpu, status) == CPU_STATUS, "entry.S");
_Static_assert(ARCH_STATUS == SSTATUS_FS, "context.h");

/* The stack ends where struct cpu begins. */
struct {
	char guard[KERNEL_GUARD] __aligned(KERNEL_GUARD), stack[KERNEL_STACK];
	struct cpu cpu;
} riscv_cpus[L4_CPUS_MAX] __used;
_Static_assert(offsetof(__typeof__(riscv_cpus[0]), cpu) == KERNEL_GUARD + KERNEL_STACK, "boot.S");

struct cpu *riscv_cpu(u32 n) { return &riscv_cpus[n].cpu; }
char *kernel_stack_guard(u32 n) { return riscv_cpus[n].guard; }

/* The CPU that runs: struct cpu is zero, or what arch_cpu_start() has set of it. */
void cpu_init(struct cpu *cpu)
{
	__asm__ volatile("mv tp, %0" : : "r"(cpu));
	cpu->arch.stack = (u64)cpu;
	cpu_init_common(cpu);
	cpu->arch.frame = (u64)thread_frame(&cpu->idle);
	csr_write(sscratch, cpu);
	csr_write(stvec, cpu->number ? riscv_entry_many : riscv_entry);
	cpu->arch.status = SSTATUS_SPIE | SSTATUS_UXL_64;
	csr_write(sstatus, cpu->arch.status);
}

void arch_thread_init(struct thread *t) { t->arch.frame.status = ARCH_STATUS; }

/* other: the root is known to be another one than is loaded. */
static inline void load_mode(struct arch_cpu *c, struct thread *t, bool other)
{
	u64 frame_end = t->frame_end, entry = t->entry, root = t->root;

	c->frame = frame_end - sizeof(struct l4_frame);
	c->entry = entry;
	if (other || likely(root && c->root != root)) {
		event(EVENT_SPACE_SWITCH, root, 0);
		load_root(c, root);
	}
}

void arch_load_mode(struct thread *t) { load_mode(&this_cpu()->arch, t, false); }
void arch_load_guest(struct thread *t) { load_mode(&this_cpu()->arch, t, true); }
void arch_load_above(struct thread *t) { arch_load_mode(t); } /* no thread is of mode above */

/*
 * The idle thread has no root, so it leaves the address space as it is. Not inlined, so that GCC does not split its
 * callers into two functions each.
 */
noinline void arch_switch(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &this_cpu()->arch;

	load_mode(c, to, false);
	if (cpus_many()) {
		fpu_switch(to);
		if (to->vcpu && !c->fs_mask)
			fpu_take(to);
		return;
	}
	if (unlikely(c->fpu_owner == to)) {
		c->fs_mask = SSTATUS_FS;
		return;
	}
	if (unlikely(c->fs_mask))
		fpu_off();
	if (unlikely(to->vcpu))
		fpu_take(to);
}

void arch_thread_forget(struct thread *t)
{
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n]->arch.fpu_owner == t)
			cpus[n]->arch.fpu_owner = NULL;
	/* A thread that ends itself still has the registers: they must not be saved at the next switch. */
	if (t == this_cpu()->current)
		fpu_off();
}

void arch_frame_sanitise(struct l4_frame *f, bool above) { f->status = ARCH_STATUS; }

void arch_stop(u32 n) {} /* there is none */
void arch_ipi(u32 n) { sbi_ipi(cpus[n]->arch.hart); }

void arch_halt(void)
{
	csr_write(sie, 0);
	for (;;)
		__asm__ volatile("wfi");
}

void arch_dump_frame(const struct l4_frame *f)
{
	const u64 *x = &f->pc;
	static const char *const names[] = { "pc", "ra", "sp", "gp", "tp",  "t0",  "t1", "t2", "s0", "s1", "a0",
	                                     "a1", "a2", "a3", "a4", "a5",  "a6",  "a7", "s2", "s3", "s4", "s5",
	                                     "s6", "s7", "s8", "s9", "s10", "s11", "t3", "t4", "t5", "t6", "status" };

	for (u32 i = 0; i < sizeof(names) / sizeof(*names); i++)
		printk("%s%s %lx%s", i % 8 ? " " : "l4:   ", names[i], x[i], i % 8 == 7 ? "\n" : "");
	printk(" stval %lx\n", csr_read(stval));
}
