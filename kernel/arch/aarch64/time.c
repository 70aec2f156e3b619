// SPDX-License-Identifier: GPL-2.0-only
/* The virtual counter, and its timer (Arm ARM, D12). */
#include <kernel/debug.h>
#include <devicetree.h>
#include "arm.h"

#define TIMER_VIRTUAL    2      /* of the interrupts of the timer's node */
#define CNTKCTL_EL0VCTEN BIT(1) /* user mode may read the virtual counter, and nothing else of the timer */
#define ISR_I            BIT(7)

u32 timer_id;
static u64 counter_hz;

bool arch_interrupt_pending(void) { return read_sysreg(isr_el1) & ISR_I; }

u64 arch_counter(void) { return read_sysreg(cntvct_el0); }
u64 arch_counter_hz(void) { return counter_hz; }

void arch_timer_set(u64 when)
{
	write_sysreg(when, cntv_cval_el0);
	write_sysreg(1, cntv_ctl_el0);
}

void timer_init(void)
{
	static const char *const known[] = { "arm,armv8-timer", NULL };
	int node = machine_find(known);

	if (node == FDT_NONE)
		panic("device tree: no timer");
	counter_hz = fdt_number(&machine_fdt, node, "clock-frequency", read_sysreg(cntfrq_el0));
	if (counter_hz < 1000000)
		panic("the counter's rate is %lu Hz", counter_hz);
	timer_id = gic_interrupt(node, TIMER_VIRTUAL, "timer interrupt");
	timer_init_cpu();
}

void timer_init_cpu(void)
{
	write_sysreg(CNTKCTL_EL0VCTEN, cntkctl_el1);
	write_sysreg(0, cntv_ctl_el0);
	gic_enable(timer_id);
}
