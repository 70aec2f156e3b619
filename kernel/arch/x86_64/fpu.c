// SPDX-License-Identifier: GPL-2.0-only
/*
 * FPU and vector registers: switched lazily, so that threads that do not use them (servers) cost nothing. The
 * state of the last user stays in the registers until another thread touches them.
 */
#include <kernel/debug.h>
#include "x86.h"

#define CR0_TS BIT(3)

static bool use_xsave;
static u64 features;

/* x87, SSE, AVX; what a larger state would need does not fit struct arch_thread. */
void fpu_init(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	use_xsave = r[2] & BIT(26);
	if (use_xsave) {
		cpuid(13, 0, r);
		features = r[0] & 7;
		__asm__ volatile("xsetbv" : : "c"(0), "a"((u32)features), "d"(0));
		cpuid(13, 0, r);
		if (r[1] > ARCH_FPU_SIZE)
			panic("FPU state of %u bytes", r[1]);
	}
	this_cpu()->arch.fpu_off = true;
	write_cr0(read_cr0() | CR0_TS);
}

static void set_off(struct arch_cpu *c, bool off)
{
	if (c->fpu_off == off)
		return;
	c->fpu_off = off;
	if (off)
		write_cr0(read_cr0() | CR0_TS);
	else
		__asm__ volatile("clts");
}

void fpu_switch(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;

	set_off(c, c->fpu_owner != t);
}

/* Device-not-available: the thread wants the registers. */
void fpu_trap(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;
	struct thread *owner = c->fpu_owner;

	set_off(c, false);
	if (owner == t)
		return;
	event(EVENT_FPU, (u64)t, 0);
	if (use_xsave) {
		if (owner)
			__asm__ volatile("xsave64 %0" : "=m"(owner->arch.fpu) : "a"((u32)features), "d"(0) : "memory");
		__asm__ volatile("xrstor64 %0" : : "m"(t->arch.fpu), "a"((u32)features), "d"(0) : "memory");
	} else {
		if (owner)
			__asm__ volatile("fxsave64 %0" : "=m"(owner->arch.fpu) : : "memory");
		__asm__ volatile("fxrstor64 %0" : : "m"(t->arch.fpu) : "memory");
	}
	c->fpu_owner = t;
}
