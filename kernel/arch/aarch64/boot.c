// SPDX-License-Identifier: GPL-2.0-only
/* Boot: read the device tree, set up CPU and board, start the root pager. */
#include <abi_hash.h>
#include <kernel/debug.h>
#include <devicetree.h>
#include "arm.h"

#define FDT_WINDOW (2 * BIT(L4_LARGE_PAGE_BITS)) /* a tree has at most 2 MiB */

static struct boot_machine machine;

/* Affinities of the CPUs that L4 may use, that which booted first. */
static u64 affinities[L4_CPUS_MAX];
static u32 cpus_listed;

static void find_cpus(void)
{
	int cpus_node = fdt_find(&machine_fdt, "/cpus"), size;

	affinities[0] = this_cpu()->arch.mpidr;
	cpus_listed = 1;
	for (int node = cpus_node == FDT_NONE ? FDT_NONE : fdt_child(&machine_fdt, cpus_node); node != FDT_NONE;
	     node = fdt_sibling(&machine_fdt, node)) {
		const char *type = fdt_text(&machine_fdt, node, "device_type");
		const char *status = fdt_text(&machine_fdt, node, "status");
		const char *method = fdt_text(&machine_fdt, node, "enable-method");
		const void *reg = fdt_property(&machine_fdt, node, "reg", &size);
		u64 affinity;

		if (!type || memcmp(type, "cpu", 4) || !reg || (size != 4 && size != 8) ||
		    (status && memcmp(status, "ok", 2)))
			continue;
		affinity = fdt_cells(reg, size / 4) & MPIDR_AFFINITY;
		if (affinity == affinities[0])
			continue;
		if (!method || memcmp(method, "psci", 5) || !psci_has_cpus())
			printk("l4: CPU %lx is not used: it starts by %s, not by PSCI\n", affinity,
			       method ? method : "nothing known");
		else if (cpus_listed == L4_CPUS_MAX)
			printk("l4: CPU %lx is not used: %u are the most\n", affinity, L4_CPUS_MAX);
		else
			affinities[cpus_listed++] = affinity;
	}
}

u32 arch_cpus(void) { return cpus_listed; }
struct cpu *arch_cpu_data(u32 n) { return arm_cpu(n); }

bool arch_cpu_start(u32 n)
{
	struct cpu *cpu = arm_cpu(n);
	long error;

	mmu_make_identity();
	error = psci_cpu_on(affinities[n], arch_pa(boot_secondary), (u64)cpu);
	if (error)
		printk("l4: CPU %lx does not start: PSCI error %ld\n", affinities[n], error);
	return !error;
}

/* It has a stack and a struct cpu of its own, and halts when it comes to cpu_main(). */
void arch_cpu_unwanted(u32 n) {}

/* Another CPU, on its own stack. */
void arm_secondary(void)
{
	cpu_init();
	mmu_init_cpu();
	gic_init_cpu();
	timer_init_cpu();
	cpu_main();
}

void arm_boot(u64 dtb, u64 image)
{
	struct boot_machine *m = &machine;
	u64 start, end;

	mmu_init(image);
	mmu_protect();
	start = align_down(dtb, BIT(L4_LARGE_PAGE_BITS));
	if (dtb)
		mmu_map_direct(start, start + FDT_WINDOW);
	machine_open(dtb);
	uart_init();
	printk("l4: Quoll kernel, ABI %lx\n", L4_ABI_HASH);
	cpu_init();
	for (u32 i = 0; machine_ram(i, &start, &end); i++)
		mmu_map_direct(align_up(start, L4_PAGE_SIZE), align_down(end, L4_PAGE_SIZE));
	mmu_drop_identity();
	machine_read(m);
	gic_init(m);
	timer_init();
	psci_init();
	find_cpus();
	m->counter_hz = arch_counter_hz();
	boot_root_pager(m);
}
