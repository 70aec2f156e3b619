// SPDX-License-Identifier: GPL-2.0-only
/*
 * FP and SIMD registers: switched lazily, so that threads that do not use them (servers) cost nothing. The state of
 * the last user stays in the registers until another thread touches them. The kernel itself is never trapped.
 *
 * With several CPUs it is also saved whenever its owner, having used it, stops running, as that may go on elsewhere. The
 * registers are good for their owner as long as no other CPU has loaded them since.
 */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include "arm.h"

#define CPACR_EL1 BIT(20)
#define CPACR_EL0 BIT(21)

static bool is_loaded(const struct arch_cpu *c, const struct thread *t)
{
	return c->fpu_owner == t && t->arch.fpu_cpu == c;
}

static void set_off(struct arch_cpu *c, bool off)
{
	c->fpu_off = off;
	write_sysreg(CPACR_EL1 | (off ? 0 : CPACR_EL0), cpacr_el1);
}

void fpu_off(void) { set_off(&this_cpu()->arch, true); }

// clang-format off
#define ALL(op)                                                                                       \
	op " q0, q1, [%0]\n\t" op " q2, q3, [%0, #32]\n\t" op " q4, q5, [%0, #64]\n\t"                \
	op " q6, q7, [%0, #96]\n\t" op " q8, q9, [%0, #128]\n\t" op " q10, q11, [%0, #160]\n\t"       \
	op " q12, q13, [%0, #192]\n\t" op " q14, q15, [%0, #224]\n\t" op " q16, q17, [%0, #256]\n\t"  \
	op " q18, q19, [%0, #288]\n\t" op " q20, q21, [%0, #320]\n\t" op " q22, q23, [%0, #352]\n\t"  \
	op " q24, q25, [%0, #384]\n\t" op " q26, q27, [%0, #416]\n\t" op " q28, q29, [%0, #448]\n\t"  \
	op " q30, q31, [%0, #480]"
// clang-format on

static void save(struct thread *owner)
{
	__asm__ volatile(".arch_extension fp\n\t.arch_extension simd\n\t" ALL("stp")
	                 :
	                 : "r"(owner->arch.fpu)
	                 : "memory");
	owner->arch.fpcr = read_sysreg(fpcr);
	owner->arch.fpsr = read_sysreg(fpsr);
}

/* The registers are on for their owner only. With several CPUs they are saved here, if it has used them. */
void fpu_switch(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;

	if (cpus_many() && !c->fpu_off)
		save(c->fpu_owner);
	set_off(c, !is_loaded(c, t));
}

void arch_fast_fpu(struct thread *to) { fpu_switch(to); }

/* First use of the registers by a thread that does not own them: save the owner's, load the thread's. */
void fpu_trap(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;
	struct thread *owner = c->fpu_owner;

	set_off(c, false);
	if (is_loaded(c, t))
		return;
	event(EVENT_FPU, (u64)t, 0);
	if (owner && !cpus_many())
		save(owner);
	__asm__ volatile(".arch_extension fp\n\t.arch_extension simd\n\t" ALL("ldp") : : "r"(t->arch.fpu) : "memory");
	write_sysreg(t->arch.fpcr, fpcr);
	write_sysreg(t->arch.fpsr, fpsr);
	c->fpu_owner = t;
	t->arch.fpu_cpu = c;
}
