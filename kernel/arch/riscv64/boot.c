// SPDX-License-Identifier: GPL-2.0-only
/* Boot by OpenSBI: read the device tree, set up hart and board, start the root pager. */
#include <abi_hash.h>
#include <kernel/debug.h>
#include "riscv.h"

#define DIRECT_SIZE (DIRECT_GIB * BIT(30))

int boot_cpu_node = FDT_NONE;

static struct boot_machine machine;

/* Harts that L4 may use, the booting one first. */
static u64 harts[L4_CPUS_MAX];
static u32 hart_count;

/* Hart id of a node; false: it is no CPU. */
static bool hart_id(int node, u64 *hart)
{
	int size;
	const void *reg = fdt_property(&machine_fdt, node, "reg", &size);

	if (!fdt_is_compatible(&machine_fdt, node, "riscv") || !reg || (size != 4 && size != 8))
		return false;
	*hart = fdt_cells(reg, size / 4);
	return true;
}

static int first_cpu(void)
{
	int cpus = fdt_find(&machine_fdt, "/cpus");

	return cpus == FDT_NONE ? FDT_NONE : fdt_child(&machine_fdt, cpus);
}

static int find_cpu(u64 hart)
{
	u64 id;

	for (int node = first_cpu(); node != FDT_NONE; node = fdt_sibling(&machine_fdt, node))
		if (hart_id(node, &id) && id == hart)
			return node;
	panic("device tree: no CPU with hart id %lu", hart);
}

/* The others. Firmware keeps some for itself, and some have no translation. */
static void find_others(u64 boot_hart)
{
	harts[0] = boot_hart;
	hart_count = 1;
	for (int node = first_cpu(); node != FDT_NONE; node = fdt_sibling(&machine_fdt, node)) {
		const char *status = fdt_text(&machine_fdt, node, "status");
		u64 id;

		if (node == boot_cpu_node || !hart_id(node, &id) || (status && memcmp(status, "ok", 2)))
			continue;
		if (!sbi_has_harts())
			printk("l4: hart %lu is not used: firmware has no HSM and IPI\n", id);
		else if (!isa_is_same(node))
			printk("l4: hart %lu is not used: its extensions are not those of hart %lu\n", id, boot_hart);
		else if (hart_count == L4_CPUS_MAX)
			printk("l4: hart %lu is not used: %u are the most\n", id, L4_CPUS_MAX);
		else
			harts[hart_count++] = id;
	}
}

u32 arch_cpus(void) { return hart_count; }
struct cpu *arch_cpu_data(u32 n) { return riscv_cpu(n); }

bool arch_cpu_start(u32 n)
{
	struct cpu *cpu = riscv_cpu(n);
	u64 error;

	/* With several CPUs a root may go while another CPU idles. */
	this_cpu()->idle.root = boot_satp;
	cpu->arch.stack = (u64)cpu;
	cpu->arch.hart = harts[n];
	boot_next[0] = harts[n];
	boot_next[1] = (u64)cpu;
	/* The hart sees what was written before. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	error = sbi_hart_start(harts[n], arch_pa(boot_hart), (u64)cpu);
	if (error)
		printk("l4: hart %lu does not start: SBI error %ld\n", harts[n], error);
	return !error;
}

/* It has a stack and a struct cpu of its own, and halts when it comes to cpu_main(). */
void arch_cpu_unwanted(u32 n) {}

void arch_cpus_many(void) { csr_write(stvec, riscv_entry_many); }

/* Another hart, on its own stack. */
void riscv_hart(void)
{
	cpu_init(this_cpu());
	mmu_init_cpu();
	isa_init_cpu();
	plic_init_cpu(find_cpu(this_cpu()->arch.hart));
	timer_init_cpu();
	cpu_main();
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

	cpu_init(riscv_cpu(0));
	this_cpu()->arch.hart = hart;
	mmu_init();
	if (dtb >= DIRECT_SIZE)
		panic("device tree at %lx is out of reach", dtb);
	machine_open(dtb);
	uart_init();
	printk("l4: Quoll kernel, ABI %lx\n", L4_ABI_HASH);
	boot_cpu_node = find_cpu(hart);
	find_others(hart);
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
