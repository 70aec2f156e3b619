// SPDX-License-Identifier: GPL-2.0-only
/* Boot: read the device tree, set up CPU and board, start the root pager. */
#include <abi_hash.h>
#include <kernel/debug.h>
#include <devicetree.h>
#include "arm.h"

#define FDT_WINDOW (2 * BIT(L4_LARGE_PAGE_BITS)) /* a tree has at most 2 MiB */

static struct boot_machine machine;

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
	m->counter_hz = arch_counter_hz();
	boot_root_pager(m);
}
