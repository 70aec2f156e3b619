// SPDX-License-Identifier: GPL-2.0-only
/* What all CPUs share of the CPUs: their list, the lock's ticket. Needs no other file. */
#include <kernel/hold.h>
#include <kernel/lock.h>

u32 cpu_count = 1;
struct cpu *cpus[L4_CPUS_MAX];
struct kernel_ticket kernel_ticket __aligned(64);
struct cpu *stopper_asleep;

void cpu_init_common(struct cpu *cpu)
{
	hold_late(cpu);
	/* cpus_start() lists the others: one that comes too late must not take the place of who has its number now. */
	if (!cpu->number)
		cpus[0] = cpu;
	cpu->programmed = cpu->slice_end = NEVER;
	cpu->ready_top = -1;
	list_init(&cpu->timers);
	list_init(&cpu->irq_pause.link);
	cpu->irq_pause.kind = TIMER_IRQ_PAUSE;
	for (u32 p = 0; p < L4_PRIORITIES; p++)
		list_init(&cpu->ready[p]);
	cpu->current = &cpu->idle;
	cpu->idle.cpu = cpu;
	cpu->idle.exit_work = true; /* trap_exit() has to look */
	cpu->idle.priority = -1;
	cpu->idle.entry = ENTRY_OWN;
	cpu->idle.frame_end = (u64)(thread_frame(&cpu->idle) + 1);
}
