// SPDX-License-Identifier: GPL-2.0-only
/*
 * Boot by PVH (Xen, public/arch-x86/hvm/start_info.h): read the memory map, set up CPU and board, start the root
 * pager.
 */
#include <abi_hash.h>
#include <kernel/boot.h>
#include <kernel/debug.h>
#include <kernel/log.h>
#include "x86.h"

#define START_MAGIC     0x336ec578
#define MEMORY_RAM      1
#define DEVICE_TOP_BITS 40
#define DIRECT_SIZE     BIT(39) /* what the direct map covers: one table of gigabytes */

struct start_info {
	u32 magic, version, flags, modules;
	u64 module_list, command_line, rsdp, memory_map;
	u32 memory_entries, reserved;
};

struct module {
	u64 pa, size, command_line, reserved;
};

struct memory {
	u64 start, size;
	u32 type, reserved;
};

static struct boot_machine machine;

/* Every address that the CPU has and that is neither RAM nor a register of the kernel's may be a device. */
static void add_devices(struct boot_machine *m, const struct memory *map, u32 n)
{
	u32 sizes[4];

	cpuid(0x80000008, 0, sizes);
	boot_add_range(m, 0xa0000, BIT(min_u64(DEVICE_TOP_BITS, sizes[0] & 0xff)), L4_MEM_DEVICE);
	for (u32 i = 0; i < n; i++)
		if (map[i].type == MEMORY_RAM)
			boot_remove_range(m, align_down(map[i].start, L4_PAGE_SIZE),
			                  align_up(map[i].start + map[i].size, L4_PAGE_SIZE));
	boot_remove_range(m, 0xfec00000, 0xfec01000);
	boot_remove_range(m, 0xfee00000, 0xfef00000);
}

static bool is_ram(const struct memory *map, u32 n, u64 start, u64 end)
{
	bool ram = false;

	for (u32 i = 0; i < n; i++) {
		u64 from = map[i].start, to = from + map[i].size;

		if (from < end && to > start && map[i].type != MEMORY_RAM)
			return false;
		ram |= from <= start && to >= end;
	}
	return ram;
}

/* Other CPUs start in a page of low memory, in a copy of code (ap.S): it must not be firmware's, nor the boot image's. */
static void find_cpus(const struct boot_machine *m, const struct memory *map, u32 n)
{
	u64 end = AP_PAGE + L4_PAGE_SIZE;

	if (is_ram(map, n, AP_PAGE, end) && (m->image_pa >= end || m->image_pa + m->image_size <= AP_PAGE))
		x86_find_cpus(m->firmware_table);
	else
		printk("l4: no free memory at %x, where other CPUs start: they do not run\n", AP_PAGE);
}

void x86_boot(u64 start_info)
{
	struct boot_machine *m = &machine;
	const struct start_info *info = arch_ptr(start_info);
	const struct memory *map;
	const struct module *image;
	static struct memory copy[BOOT_RANGES];
	u32 n;

	uart_init();
	cpu_init(x86_cpu(0), boot_stack_top);
	mmu_protect();
	printk("l4: Quoll kernel, ABI %lx\n", L4_ABI_HASH);
	if (info->magic != START_MAGIC || info->version < 1)
		panic("not started by PVH");
	n = info->memory_entries < BOOT_RANGES / 2 ? info->memory_entries : BOOT_RANGES / 2;
	map = arch_ptr(info->memory_map);
	memcpy(copy, map, n * sizeof(*map));
	m->firmware_table = info->rsdp;
	m->kernel_size = kernel_end - kernel_start;
	if (!info->modules)
		panic("no boot image: start QEMU with -initrd");
	image = arch_ptr(info->module_list);
	m->image_pa = image->pa;
	m->image_size = image->size;
	if (m->image_pa + m->image_size > BIT(32) || m->image_pa + m->image_size < m->image_pa)
		panic("boot image at %lx is out of reach", m->image_pa);
	if (!aligned(m->image_pa, L4_PAGE_SIZE))
		panic("boot image at %lx is not page-aligned", m->image_pa);

	add_devices(m, copy, n);
	for (u32 i = 0; i < n; i++) {
		u64 start = align_up(copy[i].start, L4_PAGE_SIZE);
		u64 end = align_down(copy[i].start + copy[i].size, L4_PAGE_SIZE);

		if (copy[i].type != MEMORY_RAM)
			continue;
		m->ram_size += copy[i].size;
		/* The first MiB stays firmware's; the kernel's own image and the boot image are not free. */
		boot_add_range(m, start > BIT(20) ? start : BIT(20), end, L4_MEM_RAM);
	}
	boot_remove_range(m, KERNEL_PHYS, arch_pa(kernel_end));
	boot_remove_range(m, m->image_pa, align_up(m->image_pa + m->image_size, L4_PAGE_SIZE));
	for (u32 i = 0; i < n; i++) {
		u64 start = copy[i].start, end = start + copy[i].size;

		if (copy[i].type != MEMORY_RAM || end <= BIT(32))
			continue;
		if (end > DIRECT_SIZE) {
			printk("l4: memory above %lu GiB is not used\n", DIRECT_SIZE >> 30);
			boot_remove_range(m, start > DIRECT_SIZE ? start : DIRECT_SIZE, end);
		}
		mmu_map_direct(m, start, min_u64(end, DIRECT_SIZE), false);
	}
	boot_add_range(m, m->image_pa, align_up(m->image_pa + m->image_size, L4_PAGE_SIZE), L4_MEM_IMAGE);
	boot_add_range(m, log_paddr(), log_paddr() + L4_LOG_SIZE, L4_MEM_LOG);
	mmu_map_direct(m, 0xfec00000, 0xff000000, true);
	mmu_drop_identity();
	apic_init();
	find_cpus(m, copy, n);
	m->counter_hz = arch_counter_hz();
	boot_root_pager(m);
}
