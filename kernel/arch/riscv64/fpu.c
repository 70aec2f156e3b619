// SPDX-License-Identifier: GPL-2.0-only
/*
 * FP registers: the state of the last user stays in them until another thread wants them. A thread that is not
 * their owner runs with sstatus.FS off; their owner with what is in its frame. An ordinary thread becomes owner by
 * the trap of its first FP instruction; a vCPU's whenever it runs, so that FS in the frames of its guest is the
 * guest's own, as on the bare machine.
 *
 * With several CPUs they are saved whenever their owner stops running, as it may go on elsewhere. They are good for it
 * as long as no other CPU has loaded them since.
 */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include "riscv.h"

static void save(u64 *fpu)
{
	u64 fcsr;

	__asm__ volatile(
		".option push\n\t"
		".option arch, +d\n\t"
		"frcsr %0\n\t"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
		"fsd f\\n, \\n * 8(%1)\n\t"
		".endr\n\t"
		".option pop"
		: "=&r"(fcsr)
		: "r"(fpu)
		: "memory");
	fpu[32] = fcsr;
}

static void load(const u64 *fpu)
{
	__asm__ volatile(
		".option push\n\t"
		".option arch, +d\n\t"
		".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n\t"
		"fld f\\n, \\n * 8(%0)\n\t"
		".endr\n\t"
		"fscsr %1\n\t"
		".option pop"
		:
		: "r"(fpu), "r"(fpu[32])
		: "memory");
}

void fpu_take(struct thread *t)
{
	struct arch_cpu *c = &this_cpu()->arch;
	struct thread *owner = c->fpu_owner;

	event(EVENT_FPU, (u64)t, 0);
	csr_set(sstatus, SSTATUS_FS);
	if (owner && !cpus_many())
		save(owner->arch.fpu);
	load(t->arch.fpu);
	c->fpu_owner = t;
	t->arch.fpu_cpu = c;
	c->fs_mask = SSTATUS_FS;
	t->arch.frame.status |= SSTATUS_FS;
}

void fpu_off(void)
{
	this_cpu()->arch.fs_mask = 0;
	csr_clear(sstatus, SSTATUS_FS);
}

/* With several CPUs: to runs next. */
void fpu_switch(struct thread *to)
{
	struct arch_cpu *c = &this_cpu()->arch;

	if (c->fs_mask) {
		csr_set(sstatus, SSTATUS_FS);
		save(((struct thread *)c->fpu_owner)->arch.fpu);
	}
	c->fs_mask = fpu_is_loaded(c, to) ? SSTATUS_FS : 0;
	csr_clear(sstatus, SSTATUS_FS);
	csr_set(sstatus, to->arch.frame.status & c->fs_mask);
}

/* For ipc/fast.c. The owner of the registers runs with FS as in its frame, anybody else with FS off. */
void arch_fast_fpu(struct thread *to)
{
	struct arch_cpu *c = &this_cpu()->arch;

	if (cpus_many()) {
		fpu_switch(to);
		return;
	}
	c->fs_mask = c->fpu_owner == to ? SSTATUS_FS : 0;
	csr_clear(sstatus, SSTATUS_FS);
	csr_set(sstatus, to->arch.frame.status & c->fs_mask);
}

/*
 * Handle an illegal instruction that is a thread's first use of the FP registers since it lost them; false: it is
 * none.
 */
bool fpu_trap(struct thread *t)
{
	if (this_cpu()->arch.fs_mask)
		return false;
	fpu_take(t);
	return true;
}
