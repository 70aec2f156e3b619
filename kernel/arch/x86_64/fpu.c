// SPDX-License-Identifier: GPL-2.0-only
/*
 * FPU and vector registers. They are switched lazily, so threads that do not use them (servers) cost nothing: the state
 * of the last user stays in the registers until another thread touches them. Where CR0.TS does not keep a thread from them,
 * each has its own state in them whenever it runs: on CPUs that read the registers speculatively (LazyFP,
 * CVE-2018-3665), and in QEMU's emulation, whose XSAVE and XRSTOR do not look at CR0.TS.
 */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include "gate.h"
#include "x86.h"

#define CR0_TS BIT(3)

static bool use_xsave, eager;
static u64 features;

bool fpu_ignores_ts(void)
{
	static u8 area[512 + 64] __aligned(64);
	u32 r[4];
	bool traps;

	cpuid(1, 0, r);
	if (!(r[2] & BIT(26)))
		return false;
	write_cr0(read_cr0() | CR0_TS);
	traps = gate_fpu_traps(area);
	__asm__ volatile("clts");
	return !traps;
}

/* x87, SSE, AVX; what a larger state would need does not fit struct arch_thread. */
void fpu_init(bool is_eager)
{
	u32 r[4];

	eager = is_eager;
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
	this_cpu()->arch.fpu_off = !eager;
	if (!eager)
		write_cr0(read_cr0() | CR0_TS);
}

static void save(struct thread *owner)
{
	if (use_xsave)
		__asm__ volatile("xsave64 %0" : "=m"(owner->arch.fpu) : "a"((u32)features), "d"(0) : "memory");
	else
		__asm__ volatile("fxsave64 %0" : "=m"(owner->arch.fpu) : : "memory");
}

/*
 * With several CPUs: `from` may run on another one next, so what it has in the registers is saved now. What `to` left in
 * them is its own unless it had them on another CPU since.
 */
void fpu_leave(struct cpu *cpu, struct thread *from, struct thread *to)
{
	struct arch_cpu *c = &cpu->arch;

	if (c->fpu_owner == from && !c->fpu_off)
		save(from);
	if (c->fpu_owner == to && to->arch.fpu_cpu != c)
		c->fpu_owner = NULL;
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

/* Save the owner's registers and load the thread's. */
static void load(struct arch_cpu *c, struct thread *t)
{
	event(EVENT_FPU, (u64)t, 0);
	if (c->fpu_owner && !cpus_many())
		save(c->fpu_owner);
	if (use_xsave)
		__asm__ volatile("xrstor64 %0" : : "m"(t->arch.fpu), "a"((u32)features), "d"(0) : "memory");
	else
		__asm__ volatile("fxrstor64 %0" : : "m"(t->arch.fpu) : "memory");
	c->fpu_owner = t;
	t->arch.fpu_cpu = c;
}

void fpu_switch(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;

	if (eager)
		load(c, t);
	else
		set_off(c, c->fpu_owner != t);
}

/* Device-not-available: the thread wants the registers. */
void fpu_trap(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;

	set_off(c, false);
	if (c->fpu_owner != t)
		load(c, t);
}
