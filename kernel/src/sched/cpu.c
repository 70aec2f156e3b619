// SPDX-License-Identifier: GPL-2.0-only
/* Per-CPU data: the start of a CPU. */
#include <kernel/cpu.h>

void cpu_init_common(struct cpu *cpu)
{
	cpu->programmed = cpu->slice_end = NEVER;
	cpu->ready_top = -1;
	list_init(&cpu->timers);
	for (u32 p = 0; p < L4_PRIORITIES; p++)
		list_init(&cpu->ready[p]);
	cpu->current = &cpu->idle;
	cpu->idle.priority = -1;
	cpu->idle.entry = ENTRY_OWN;
	cpu->idle.frame_end = (u64)(thread_frame(&cpu->idle) + 1);
}
