// SPDX-License-Identifier: GPL-2.0-only
/* Boot by OpenSBI: read the device tree, set up hart and board, start the root pager. */
#include <abi_hash.h>
#include <kernel/debug.h>
#include "riscv.h"

#define DIRECT_SIZE (DIRECT_GIB * BIT(30))

int boot_cpu_node = FDT_NONE;

static struct boot_machine machine;

static int find_cpu(u64 hart)
{
	const struct fdt *fdt = &machine_fdt;
	int cpus = fdt_find(fdt, "/cpus"), size;

	for (int node = cpus == FDT_NONE ? FDT_NONE : fdt_child(fdt, cpus); node != FDT_NONE;
	     node = fdt_sibling(fdt, node)) {
		const void *reg = fdt_property(fdt, node, "reg", &size);

		if (fdt_is_compatible(fdt, node, "riscv") && reg && (size == 4 || size == 8) &&
		    fdt_cells(reg, size / 4) == hart)
			return node;
	}
	panic("device tree: no CPU with hart id %lu", hart);
}

/* Memory above the direct map cannot be used. */
static void clip(struct boot_machine *m)
{
	u64 start, end;

	for (u32 i = 0; machine_ram(i, &start, &end); i++) {
		if (end <= DIRECT_SIZE)
			continue;
		printk("l4: memory above %lu GiB is not used\n", (u64)DIRECT_GIB);
		boot_remove_range(m, start > DIRECT_SIZE ? start : DIRECT_SIZE, end);
	}
	if (m->image_pa + m->image_size > DIRECT_SIZE)
		panic("boot image at %lx is out of reach", m->image_pa);
}

void riscv_boot(u64 hart, u64 dtb)
{
	struct boot_machine *m = &machine;

	cpu_init();
	mmu_init();
	if (dtb >= DIRECT_SIZE)
		panic("device tree at %lx is out of reach", dtb);
	machine_open(dtb);
	uart_init();
	printk("l4: Quoll kernel, ABI %lx\n", L4_ABI_HASH);
	boot_cpu_node = find_cpu(hart);
	isa_init();
	timer_init();
	machine_read(m);
	clip(m);
	plic_init(m);
	m->counter_hz = arch_counter_hz();
	printk("l4: hardening: W^X, no indirect branches; CPU: the architecture tells of no speculation controls\n");
	printk("l4: hart %lu, Sv%u\n", hart, arch_levels == 4 ? 48 : 39);
	boot_root_pager(m);
}
