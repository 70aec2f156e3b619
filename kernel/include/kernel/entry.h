/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways into the kernel. The architecture's entry code saves registers and calls these; it also tells EVENT_INTERRUPT,
 * EVENT_SPACE_SWITCH and EVENT_FPU (kernel/trace.h).
 */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/vcpu.h>

void trap_syscall(struct thread *t);
/*
 * The last step of every entry is one of these two; it drops the lock. The second, for a thread that came in from user
 * mode, gets and returns a way out (mode.h).
 */
void trap_exit(void);
struct l4_vcpu_page *trap_exit_by(struct l4_vcpu_page *way);

/* From user mode; each returns a way out. addr of the second: what the CPU tells, or 0. */
struct l4_vcpu_page *trap_page_fault(struct thread *t, u64 addr, u32 access, bool present);
struct l4_vcpu_page *trap_exception(struct thread *t, u32 vector, u64 error, u64 addr);

/* Interrupts: kernel_lock() comes before them, and a last step follows. */
void trap_timer(void);
void trap_ipi(void); /* another CPU has something for this one */

struct l4_vcpu_page *trap_vcpu_enter_anew(struct cpu *cpu, u64 slot);
struct l4_vcpu_page *trap_vcpu_enter_other(u64 slot);
struct l4_vcpu_page *trap_vcpu_enter_many(struct cpu *cpu, u64 slot) __cold; /* with several CPUs */

/*
 * VCPU_ENTER, for which the entry code has a path of its own. The current thread came from user mode, so trap_exit() has
 * nothing to do before it has done something; an enter again does nothing that could change that.
 */
static inline struct l4_vcpu_page *trap_vcpu_enter(struct cpu *cpu, u64 slot)
{
	struct thread *t = cpu->current;

	if (cpus_many())
		return trap_vcpu_enter_many(cpu, slot);
	if (unlikely(vcpu_has_work(t->vcpu)))
		return trap_vcpu_enter_anew(cpu, slot);
	if (unlikely(!vcpu_enter_again(t, slot)))
		return trap_vcpu_enter_other(slot);
	assert(!trap_exit_needed(cpu));
	return NULL;
}

#endif
