// SPDX-License-Identifier: GPL-2.0-only
/* One CPU's set-up: what user mode may do, identification, and switching between threads. */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/vcpu.h>
#include "arm.h"

_Static_assert(offsetof(struct arch_cpu, frame) == CPU_FRAME, "entry.S");
_Static_assert(offsetof(struct arch_cpu, entry) == CPU_ENTRY, "entry.S");
_Static_assert(offsetof(struct arch_cpu, vectors) == CPU_VECTORS, "entry.S");
_Static_assert(!offsetof(struct arch_thread, frame), "frames are aligned to 16 bytes");
_Static_assert(offsetof(struct l4_vcpu_page, user_entry) == offsetof(struct l4_vcpu_page, kernel_sp) + 8, "entry.S");

#define SCTLR_SPAN   BIT(23)
#define MDSCR_TDCC   BIT(12)
#define PMCR_E       BIT(0)
#define PMCR_LC      BIT(6)
#define PMUSERENR_CR BIT(2)
#define PMU_CYCLES   BIT(31)
#define PMU_NONE     15

/* The stack ends where struct cpu begins: entry.S. */
struct {
	char guard[KERNEL_GUARD] __aligned(KERNEL_GUARD), stack[KERNEL_STACK];
	struct cpu cpu;
	u64 asid_root[1 << ARCH_ASID_BITS];
} arm_cpus[L4_CPUS_MAX] __used;
_Static_assert(offsetof(__typeof__(arm_cpus[0]), cpu) == KERNEL_GUARD + KERNEL_STACK, "boot.S");
_Static_assert(sizeof(struct cpu) % sizeof(u64) == 0, "asid_root is behind it");

struct cpu *arm_cpu(u32 n) { return &arm_cpus[n].cpu; }
const char *kernel_stack_guard(u32 n) { return arm_cpus[n].guard; }

/* Prediction restriction by context (Arm ARM, C5.6), where the CPU has it. */
static bool has_specres;

static void harden_init(void)
{
	u64 csv2 = ID_FIELD(id_aa64pfr0_el1, 56), csv3 = ID_FIELD(id_aa64pfr0_el1, 60);

	has_specres = ID_FIELD(id_aa64isar1_el1, 40);
	printk("l4: hardening: W^X, no indirect branches, barriers behind ERET; CPU: PAN %s, E0PD %s, CSV2 %s, CSV3 %s, "
	       "SPECRES %s\n",
	       ID_FIELD(id_aa64mmfr1_el1, 20) ? "on" : "no", ID_FIELD(S3_0_C0_C7_2, 60) ? "on" : "no",
	       csv2 ? "yes" : "no", csv3 ? "yes" : "no", has_specres ? "on" : "no");
}

/* Restrict branch prediction between guests: CFP, DVP and CPP for EL0, all ASIDs (GASID). */
static void guest_changed(void)
{
	u64 all = BIT(26) | BIT(16); /* NS, GASID; EL 0 */

	if (!has_specres)
		return;
	__asm__ volatile("sys #3, c7, c3, #4, %0\n\tsys #3, c7, c3, #5, %0\n\tsys #3, c7, c3, #7, %0" : : "r"(all));
	dsb(nsh);
	isb();
}

/* Debug (Arm ARM, D2): single steps only; no breakpoints, no channel. */
static void debug_init(void)
{
	write_sysreg(0, oslar_el1);
	write_sysreg(0, osdlr_el1);
	write_sysreg(MDSCR_TDCC, mdscr_el1);
}

/* User mode may read the cycle counter (D11), as it may read the timer's counter. */
static void cycle_counter_init(void)
{
	u64 version = ID_FIELD(id_aa64dfr0_el1, 8);

	if (!version || version == PMU_NONE)
		return;
	write_sysreg(0, pmccfiltr_el0);
	write_sysreg(PMU_CYCLES, pmcntenset_el0);
	write_sysreg(PMCR_E | PMCR_LC, pmcr_el0);
	write_sysreg(PMUSERENR_CR, pmuserenr_el0);
}

/* The CPU that runs. Its struct cpu is zero, or has what arch_cpu_start() has set. */
static void load_vectors(struct cpu *cpu, char *vectors)
{
	cpu->arch.vectors = vectors;
	write_sysreg(vectors, vbar_el1);
}

void arch_cpus_many(void) { load_vectors(this_cpu(), arm_vectors_many); }

void cpu_init(void)
{
	struct cpu *cpu = this_cpu();

	cpu_init_common(cpu);
	load_vectors(cpu, cpu->number ? arm_vectors_many : arm_vectors);
	cpu->arch.asid_root = (u64 *)(cpu + 1);
	cpu->arch.mpidr = read_sysreg(mpidr_el1) & MPIDR_AFFINITY;
	cpu->idle.root = arch_pa(boot_identity);

	/* The kernel never uses a user address: PAN, where the CPU has it, makes such an access fault. */
	if (ID_FIELD(id_aa64mmfr1_el1, 20)) {
		write_sysreg(read_sysreg(sctlr_el1) & ~SCTLR_SPAN, sctlr_el1);
		__asm__ volatile(".inst 0xd500419f"); /* msr pan, #1 */
	}
	write_sysreg(0, tpidrro_el0);
	debug_init();
	cycle_counter_init();
	if (cpu == arm_cpu(0))
		harden_init();
	fpu_off();
	isb();
}

void arch_thread_init(struct thread *t) {}

/* other: the root is known to be another one than is loaded. */
static inline void load_mode(struct arch_cpu *c, struct thread *t, bool other)
{
	c->frame = t->frame_end - sizeof(struct l4_frame);
	c->entry = t->entry;
	if (other || likely(t->root && c->root != t->root)) {
		event(EVENT_SPACE_SWITCH, t->root, 0);
		mmu_load(c, t->root);
	}
}

void arch_load_mode(struct thread *t) { load_mode(&this_cpu()->arch, t, false); }
void arch_load_guest(struct thread *t) { load_mode(&this_cpu()->arch, t, true); }
void arch_load_above(struct thread *t) { arch_load_mode(t); } /* no thread is of mode above */

/* The idle loop has no state; it leaves address space and FPU as they are. */
void arch_switch(struct cpu *cpu, struct thread *from, struct thread *to)
{
	if (likely(from != &cpu->idle))
		from->arch.tls = read_sysreg(tpidr_el0);
	if (unlikely(to == &cpu->idle)) {
		/* With several CPUs its thread may go on elsewhere, and its root go. */
		if (cpus_many()) {
			mmu_load(&cpu->arch, to->root);
			fpu_switch(to);
		}
		return;
	}
	write_sysreg(to->arch.tls, tpidr_el0);
	load_mode(&cpu->arch, to, false);
	if (to->entry && unlikely(cpu->arch.guest != to->vspace)) {
		cpu->arch.guest = to->vspace;
		guest_changed();
	}
	if (unlikely(cpu->arch.fpu_off != (cpu->arch.fpu_owner != to)))
		fpu_switch(to);
}

/*
 * Identification registers (D17.2) as user mode under L4 may use them: fields that only a kernel can use, and
 * extensions that L4 does not let user mode use or does not switch (SVE, SME, MTE, pointer authentication, BTI, SSBS,
 * MOPS, LS64, TME, prediction restriction), read as 0.
 */
void arch_cpu_id(u64 *id)
{
	id[L4_CPU_ID_MIDR] = read_sysreg(midr_el1);
	id[L4_CPU_ID_REVIDR] = read_sysreg(revidr_el1);
	id[L4_CPU_ID_PFR0] = (read_sysreg(id_aa64pfr0_el1) & 0x00ff000000ff0000) | 0x11; /* CSV DIT SIMD FP, EL1, EL0 */
	id[L4_CPU_ID_PFR1] = 0;
	id[L4_CPU_ID_ISAR0] = read_sysreg(id_aa64isar0_el1) & 0xf0fffffff0fffff0;
	id[L4_CPU_ID_ISAR1] = read_sysreg(id_aa64isar1_el1) & 0x0ffff0ff00fff00f;
	id[L4_CPU_ID_ISAR2] = read_sysreg(S3_0_C0_C6_2) & 0x00f0000000f000ff;     /* CSSC BC RPRES WFxT */
	id[L4_CPU_ID_MMFR0] = read_sysreg(id_aa64mmfr0_el1) & 0xf000000000000000; /* ECV */
	id[L4_CPU_ID_MMFR1] = read_sysreg(id_aa64mmfr1_el1) & 0x0000f00000000000; /* AFP */
	id[L4_CPU_ID_MMFR2] = read_sysreg(S3_0_C0_C7_2) & 0x0000000f00000000;     /* AT */
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

void arch_frame_sanitise(struct l4_frame *f, bool above) { f->pstate &= PSTATE_USER; }

void arch_stop(u32 n) {} /* there is none */
void arch_ipi(u32 n) { gic_ipi(cpus[n]); }

void arch_halt(void)
{
	for (;;)
		__asm__ volatile("msr daifset, #15\n\twfi");
}

void arch_dump_frame(const struct l4_frame *f)
{
	const u64 *x = &f->x0;

	for (u32 i = 0; i < 31; i++)
		printk("%sx%u %lx%s", i % 6 ? " " : "l4:   ", i, x[i], i % 6 == 5 || i == 30 ? "\n" : "");
	printk("l4:   pstate %lx esr %lx far %lx\n", f->pstate, read_sysreg(esr_el1), read_sysreg(far_el1));
}
