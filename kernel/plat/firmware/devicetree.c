// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the device tree (Devicetree Specification 0.4) to struct boot_machine. What the tree says of memory is
 * checked, as a wrong range would give the kernel's own memory away. Other errors are left to user level.
 */
#include <kernel/debug.h>
#include <kernel/log.h>
#include <devicetree.h>

#define DEVICE_TOP  BIT(40) /* one past the last address at which user level may have a device */
#define RESERVE_MAP 16      /* offset of off_mem_rsvmap in the header, section 5.2 */

struct fdt machine_fdt;

static u64 fdt_pa;
static const unsigned char *blob;

void machine_open(u64 dtb)
{
	if (!dtb || !aligned(dtb, 8))
		panic("no device tree");
	fdt_pa = dtb;
	blob = arch_ptr(dtb);
	if (fdt_open(&machine_fdt, blob, BIT(L4_LARGE_PAGE_BITS)))
		panic("device tree at %lx is damaged", dtb);
}

static int next_memory(int node)
{
	const struct fdt *fdt = &machine_fdt;

	for (node = node == FDT_NONE ? fdt_child(fdt, fdt_root(fdt)) : fdt_sibling(fdt, node); node != FDT_NONE;
	     node = fdt_sibling(fdt, node)) {
		const char *type = fdt_text(fdt, node, "device_type"), *status = fdt_text(fdt, node, "status");

		/* Memory of the secure world only has another status. */
		if (type && !memcmp(type, "memory", 7) && (!status || !memcmp(status, "ok", 2)))
			break;
	}
	return node;
}

bool machine_ram(u32 index, u64 *start, u64 *end)
{
	for (int node = next_memory(FDT_NONE); node != FDT_NONE; node = next_memory(node)) {
		u64 size;

		for (int i = 0; !fdt_reg(&machine_fdt, node, i, start, &size); i++) {
			if (index--)
				continue;
			*end = *start + size;
			if (*end < *start)
				panic("device tree: memory at %lx has a size of %lx", *start, size);
			return true;
		}
	}
	return false;
}

static void reserve(struct boot_machine *m, u64 start, u64 size)
{
	u64 end = start + size;

	if (end < start)
		panic("device tree: reserved memory at %lx has a size of %lx", start, size);
	if (size)
		boot_remove_range(m, align_down(start, L4_PAGE_SIZE), align_up(end, L4_PAGE_SIZE));
}

/* Section 5.3: pairs of address and size until both are zero. Section 3.5: /reserved-memory. */
static void reserve_all(struct boot_machine *m)
{
	const struct fdt *fdt = &machine_fdt;
	u64 start, size;

	for (u64 at = fdt_cells(blob + RESERVE_MAP, 1);; at += 16) {
		if (at + 16 > (u64)fdt->size)
			panic("device tree: the memory reservation block has no end");
		start = fdt_cells(blob + at, 2);
		size = fdt_cells(blob + at + 8, 2);
		if (!start && !size)
			break;
		reserve(m, start, size);
	}
	for (int node = fdt_find(fdt, "/reserved-memory") == FDT_NONE
	                        ? FDT_NONE
	                        : fdt_child(fdt, fdt_find(fdt, "/reserved-memory"));
	     node != FDT_NONE; node = fdt_sibling(fdt, node))
		for (int i = 0; !fdt_reg(fdt, node, i, &start, &size); i++)
			reserve(m, start, size);
}

/* An address in /chosen, which firmware writes in one cell or in two; 0 if there is none. */
static u64 chosen_address(int chosen, const char *name)
{
	int size;
	const void *at = chosen == FDT_NONE ? NULL : fdt_property(&machine_fdt, chosen, name, &size);

	return at && (size == 4 || size == 8) ? fdt_cells(at, size / 4) : 0;
}

static bool in_ram(u64 start, u64 end)
{
	u64 from, to;

	for (u32 i = 0; machine_ram(i, &from, &to); i++)
		if (start >= from && end <= to)
			return start < end;
	return false;
}

static void add_image(struct boot_machine *m, u64 start, u64 end, u32 kind)
{
	boot_remove_range(m, start, end);
	boot_add_range(m, start, end, kind);
}

void machine_read(struct boot_machine *m)
{
	int chosen = fdt_find(&machine_fdt, "/chosen");
	u64 start, end, image = chosen_address(chosen, "linux,initrd-start");
	u64 image_end = chosen_address(chosen, "linux,initrd-end");
	u64 fdt_start = align_down(fdt_pa, L4_PAGE_SIZE), fdt_end = align_up(fdt_pa + machine_fdt.size, L4_PAGE_SIZE);

	boot_add_range(m, 0, DEVICE_TOP, L4_MEM_DEVICE);
	for (u32 i = 0; machine_ram(i, &start, &end); i++) {
		m->ram_size += end - start;
		boot_remove_range(m, align_down(start, L4_PAGE_SIZE), align_up(end, L4_PAGE_SIZE));
		boot_add_range(m, align_up(start, L4_PAGE_SIZE), align_down(end, L4_PAGE_SIZE), L4_MEM_RAM);
	}
	if (!m->ram_size)
		panic("device tree: no memory");
	reserve_all(m);
	if (!image || image_end <= image)
		panic("no boot image: start QEMU with -initrd");
	if (!aligned(image, L4_PAGE_SIZE))
		panic("boot image at %lx is not page-aligned", image);
	if (!in_ram(image, image_end))
		panic("boot image at %lx is not in memory", image);
	m->image_pa = image;
	m->image_size = image_end - image;
	m->firmware_table = fdt_pa;
	m->kernel_size = kernel_end - kernel_start;
	add_image(m, image, align_up(image_end, L4_PAGE_SIZE), L4_MEM_IMAGE);
	add_image(m, fdt_start, fdt_end, L4_MEM_DEVICE);
	boot_remove_range(m, arch_pa(kernel_start), arch_pa(kernel_end));
	boot_add_range(m, log_paddr(), log_paddr() + L4_LOG_SIZE, L4_MEM_LOG);
}

int machine_find(const char *const *compatible)
{
	for (; *compatible; compatible++) {
		int node = fdt_compatible(&machine_fdt, FDT_NONE, *compatible);

		if (node != FDT_NONE)
			return node;
	}
	return FDT_NONE;
}

int machine_stdout(const char *const *known, u64 *pa, u64 *size)
{
	int node = fdt_stdout(&machine_fdt);

	if (node == FDT_NONE)
		node = machine_find(known);
	if (node == FDT_NONE || fdt_reg(&machine_fdt, node, 0, pa, size))
		return FDT_NONE;
	for (; *known; known++)
		if (fdt_is_compatible(&machine_fdt, node, *known))
			return node;
	return FDT_NONE;
}

char *machine_registers(int node, int index, const char *what, u64 *pa, u64 *size)
{
	if (node == FDT_NONE || fdt_reg(&machine_fdt, node, index, pa, size) || *pa + *size < *pa)
		panic("device tree: no %s", what);
	return mmu_device(*pa, *size);
}
