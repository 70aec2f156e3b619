// SPDX-License-Identifier: GPL-2.0-only
/* The time counter, and the timer: stimecmp (Sstc) or the firmware's. */
#include <kernel/debug.h>
#include "riscv.h"

static u64 counter_hz;
static bool sstc;

bool arch_interrupt_pending(void) { return interrupts_pending(); }

u64 arch_counter(void)
{
	u64 v;

	__asm__ volatile("rdtime %0" : "=r"(v));
	return v;
}

u64 arch_counter_hz(void) { return counter_hz; }

/*
 * PAUSE (Zihintpause), which does nothing where a CPU lacks it. And WFI, which ends at once, as the timer's interrupt is
 * pending: an emulator that runs CPUs in turn goes on with another there, but not at PAUSE.
 */
void arch_relax(void)
{
	u64 when;

	__asm__ volatile(".4byte 0x0100000f" : : : "memory");
	if (!sstc)
		return;
	when = csr_read(CSR_STIMECMP);
	csr_write(CSR_STIMECMP, 0);
	__asm__ volatile("wfi" : : : "memory");
	csr_write(CSR_STIMECMP, when);
}

void arch_timer_set(u64 when)
{
	if (likely(sstc))
		csr_write(CSR_STIMECMP, when);
	else
		sbi_timer(when);
}

void timer_init(void)
{
	const struct fdt *fdt = &machine_fdt;
	int cpus = fdt_find(fdt, "/cpus");

	counter_hz =
		fdt_number(fdt, boot_cpu_node, "timebase-frequency", fdt_number(fdt, cpus, "timebase-frequency", 0));
	if (counter_hz < 1000000)
		panic("device tree: timebase-frequency of %lu Hz", counter_hz);
	sstc = isa_has("sstc");
	timer_init_cpu();
}

/* From here on the CPU's interrupts are taken in user mode. */
void timer_init_cpu(void)
{
	arch_timer_set(NEVER);
	csr_write(sie, BIT(IRQ_SOFTWARE) | BIT(IRQ_TIMER) | BIT(IRQ_EXTERNAL));
}
