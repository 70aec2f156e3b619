// SPDX-License-Identifier: GPL-2.0-only
/*
 * FPU and vector registers. They are switched lazily, so threads that do not use them (servers) cost nothing: the state
 * of the last user stays in the registers until another thread touches them. A vCPU's thread has its own in them whenever
 * it runs. Where CR0.TS does not keep a thread from them:
 *   - in QEMU's emulation, whose XSAVE and XRSTOR do not look at it, CR4.OSXSAVE is cleared as well; a thread without
 *     the registers then reads no OSXSAVE by CPUID
 *   - on CPUs that read them speculatively (LazyFP, CVE-2018-3665) each thread has its own whenever it runs.
 */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include "gate.h"
#include "x86.h"

#define CR0_TS      BIT(3)
#define CR4_OSXSAVE BIT(18)

static enum fpu_way way;
static bool use_xsave, keeps_pointers;
static u64 features;

/* Without the registers: what else could use them raises #NM, XSAVE and XRSTOR raise #NM or #UD. */
static void turn_off(enum fpu_way by)
{
	write_cr0(read_cr0() | CR0_TS);
	if (by == FPU_HIDDEN)
		write_cr4(read_cr4() & ~CR4_OSXSAVE);
}

static void turn_on(enum fpu_way by)
{
	__asm__ volatile("clts");
	if (by == FPU_HIDDEN)
		write_cr4(read_cr4() | CR4_OSXSAVE);
}

enum fpu_way fpu_find_way(void)
{
	static u8 area[512 + 64] __aligned(64);
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[2] & BIT(26)))
		return FPU_LAZY;
	for (enum fpu_way w = FPU_LAZY; w < FPU_EAGER; w++) {
		bool traps;

		turn_off(w);
		traps = gate_fpu_traps(area);
		turn_on(w);
		if (traps)
			return w;
	}
	return FPU_EAGER;
}

/* x87, SSE, AVX; what a larger state would need does not fit struct arch_thread. */
void fpu_init(enum fpu_way w)
{
	u32 r[4];

	way = w;
	keeps_pointers = harden_fpu_keeps_pointers();
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
	this_cpu()->arch.fpu_off = way != FPU_EAGER;
	if (way != FPU_EAGER)
		turn_off(way);
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
		turn_off(way);
	else
		turn_on(way);
}

/* Execute an instruction of the x87, whose addresses replace those of another thread's last one. L4's are no secret. */
static void forget_pointers(void)
{
	static const int zero;

	__asm__ volatile("fnclex\n\temms\n\tfildl %0" : : "m"(zero) : "memory");
}

/* Save the owner's registers and load the thread's. */
static void load(struct arch_cpu *c, struct thread *t)
{
	event(EVENT_FPU, (u64)t, 0);
	if (c->fpu_owner && !cpus_many())
		save(c->fpu_owner);
	if (keeps_pointers)
		forget_pointers();
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

	if (way == FPU_EAGER)
		load(c, t);
	else
		set_off(c, c->fpu_owner != t);
}

void arch_fast_fpu(struct thread *to)
{
	struct cpu *cpu = this_cpu();

	if (cpus_many() && cpu->arch.fpu_owner)
		fpu_leave(cpu, cpu->arch.fpu_owner, to);
	fpu_switch(to);
}

/* The thread wants the registers. */
void fpu_take(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;

	set_off(c, false);
	if (c->fpu_owner != t)
		load(c, t);
}
