/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways into the kernel. The architecture's entry code saves registers and calls these; it also tells EVENT_INTERRUPT,
 * EVENT_SPACE_SWITCH and EVENT_FPU (kernel/trace.h).
 */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include <kernel/cpu.h>
#include <kernel/vcpu.h>

void trap_syscall(struct thread *t);
void trap_page_fault(struct thread *t, u64 addr, u32 access, bool present);
void trap_exception(struct thread *t, u32 vector, u64 error, u64 addr); /* addr: what the CPU tells, or 0 */
void trap_timer(void);                                                  /* the timer's interrupt; trap_exit() follows */
void trap_exit(void);                                                   /* last step of every entry */

/* VCPU_ENTER, for which the entry code has a path of its own. */
static inline void trap_vcpu_enter(struct cpu *cpu, u64 slot)
{
	vcpu_enter(cpu->current, slot);
	if (unlikely(trap_exit_needed(cpu)))
		trap_exit();
}

#endif
