// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own mappings: two entries of the root table, shared by all address spaces. No page of them is both
 * writable and executable; only the image's text is executable; text and constants are writable by no address; the
 * page below each stack is not mapped where the stack is.
 */
#include <kernel/boot.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/paging.h>
#include <kernel/vspace.h>
#include "x86.h"

#define LARGE           BIT(L4_LARGE_PAGE_BITS)
#define LOW_LARGE_PAGES 2048 /* boot_pd: 4 GiB */
#define DIRECT_ENTRY    256  /* of a root: the direct map */
#define IMAGE_ENTRY     510  /* of the table that root[511] names */

#define WINDOW_PAGES 16 /* from its start to those of CPUs but the first */

/* The GiB of the kernel's image, and its last large page; the same as a guest's root of mode above has them. */
static u64 image_pd[TABLE_ENTRIES] __aligned(4096), window_pt[TABLE_ENTRIES] __aligned(4096);
static u64 gate_pd[TABLE_ENTRIES] __aligned(4096), gate_window_pt[TABLE_ENTRIES] __aligned(4096);

void *arch_ptr(u64 pa) { return (void *)(pa + KERNEL_DIRECT); }

u64 arch_pa(const void *p)
{
	u64 a = (u64)p;

	return a >= KERNEL_VADDR ? a - KERNEL_VADDR : a - KERNEL_DIRECT;
}

u32 arch_guest_modes(void) { return BIT(L4_GUEST_BESIDE) | (harden_allows_above() ? BIT(L4_GUEST_ABOVE) : 0); }

u32 arch_weak_modes(void) { return harden_above_holds() ? 0 : arch_guest_modes() & BIT(L4_GUEST_ABOVE); }

/*
 * The root's entries of the guest's ranges get their tables now, so that its GuestSpaces' roots can have the same. In
 * mode above they are all that a root has in the upper half, and its last GiB but one is the gate.
 */
error_t arch_vspace_guest(struct vspace *v, u32 mode)
{
	u64 *table = NULL, at, end;

	if (v->pool_free < ARCH_GUEST_RANGES)
		return L4_ERR_MEMORY;
	arch_root_destroy(v->root_reg);
	for (u32 n = 0; n < ARCH_GUEST_RANGES; n++) {
		arch_guest_range(n, &at, &end);
		table = pool_take(v, NULL, at, ARCH_LEVELS - 2);
		v->root[level_index(at, ARCH_LEVELS - 1)] = pte_table(arch_pa(table));
	}
	/* The last range shares its table with L4's image. Nothing in the table's descriptor tells of that entry. */
	table[IMAGE_ENTRY] = mode == L4_GUEST_ABOVE ? arch_pa(gate_pd) | PTE_P | PTE_W : boot_pdpt_kernel[IMAGE_ENTRY];
	if (mode == L4_GUEST_ABOVE)
		v->root[DIRECT_ENTRY] = 0;
	return L4_ERR_OK;
}

/* v is the guest's VSpace, or NULL: then the table is no guest's any more. */
void arch_space_join(u64 *table, u64 root, const struct vspace *v)
{
	u64 at, end;

	/* CR3 may still name this root: L4 keeps the root of the thread that ran last. */
	arch_root_destroy(root);
	for (u32 n = 0; n < ARCH_GUEST_RANGES; n++) {
		arch_guest_range(n, &at, &end);
		table[level_index(at, ARCH_LEVELS - 1)] = v && v->above ? v->root[level_index(at, ARCH_LEVELS - 1)] : 0;
	}
	if (v && v->above)
		table[DIRECT_ENTRY] = 0;
	else
		arch_root_init(table);
}

u64 arch_root_init(u64 *table)
{
	table[DIRECT_ENTRY] = boot_root[DIRECT_ENTRY];
	table[TABLE_ENTRIES - 1] = boot_root[TABLE_ENTRIES - 1];
	return arch_pa(table);
}

void arch_root_destroy(u64 root)
{
	if (gate.root_k == root)
		gate.root_k = arch_pa(boot_root);
	for (u32 n = 0; n < cpu_count; n++) {
		struct arch_cpu *c = &cpus[n]->arch;

		if (c->root == root) {
			c->root = arch_pa(boot_root);
			c->stale = true;
		}
		/* Another VSpace may come to be where this one was. */
		c->guest = NULL;
	}
	arch_lock_taken(this_cpu());
}

/* CR3 as it should be: another CPU may have changed that. Until then the CPU has a root whose memory is not reused. */
void arch_lock_taken(struct cpu *cpu)
{
	if (!cpu->arch.stale)
		return;
	cpu->arch.stale = false;
	write_cr3(cpu->arch.root);
}

void arch_root_flush_others(u64 root)
{
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n] != this_cpu())
			cpus[n]->arch.stale = true;
}

/* Translations are not tagged: loading a root forgets them. */
void arch_forget_all(void) {}

/* Translations are not tagged: those of a root that is not in use, as a guest's of mode above, are gone already. */
void arch_root_flush(u64 root)
{
	if (this_cpu()->arch.root == root)
		write_cr3(root);
}

void arch_flush_page(u64 vaddr) { __asm__ volatile("invlpg (%0)" : : "r"(vaddr) : "memory"); }

/* Invalid entries are never cached (SDM vol. 3, 4.10.2.3). */
void arch_filled(u64 root) {}

/* Stores are seen by instruction fetches (SDM vol. 3, 12.6). */
void arch_code_written(void *p, u64 size) {}

static bool is_in(u64 vaddr, const char *start, const char *end) { return vaddr >= (u64)start && vaddr < (u64)end; }

/* The gate's part of the image's page that `leaf` maps, in the tables of guests' roots. */
static u64 gate_leaf(u64 vaddr, u64 leaf)
{
	if (is_in(vaddr, gate_text, gate_text_end) || is_in(vaddr, gate_stacks, gate_stacks_end))
		return leaf;
	return is_in(vaddr, gate_ro, gate_ro_end) ? leaf & ~PTE_W : 0;
}

/* After boot.S' mappings, when the image needs no more changes. The identity map cannot be executed any more. */
void mmu_protect(void)
{
	static u64 image_pt[512] __aligned(4096), direct_pt[512] __aligned(4096), gate_pt[512] __aligned(4096);

	for (u64 i = 0; i < 512; i++) {
		u64 pa = KERNEL_PHYS + i * L4_PAGE_SIZE, vaddr = KERNEL_VADDR + pa;
		bool text = vaddr < (u64)kernel_const, constant = vaddr < (u64)kernel_data;

		direct_pt[i] = pa | PTE_P | PTE_NX | (constant ? 0 : PTE_W);
		if (vaddr < (u64)kernel_end && !stack_guard(vaddr))
			image_pt[i] = pa | PTE_P | (text ? 0 : PTE_NX) | (constant ? 0 : PTE_W);
		gate_pt[i] = gate_leaf(vaddr, image_pt[i]);
	}
	window_pt[level_index(GATE_VADDR, 0)] = arch_pa(gate_page) | PTE_P | PTE_W | PTE_NX;
	image_pd[TABLE_ENTRIES - 1] = arch_pa(window_pt) | PTE_P | PTE_W;
	gate_window_pt[level_index(GATE_VADDR, 0)] = window_pt[level_index(GATE_VADDR, 0)];
	gate_pd[TABLE_ENTRIES - 1] = arch_pa(gate_window_pt) | PTE_P | PTE_W;
	gate_pd[KERNEL_PHYS / LARGE] = arch_pa(gate_pt) | PTE_P | PTE_W;
	image_pd[KERNEL_PHYS / LARGE] = arch_pa(image_pt) | PTE_P | PTE_W;
	boot_pdpt_kernel[IMAGE_ENTRY] = arch_pa(image_pd) | PTE_P | PTE_W;
	write_cr3(arch_pa(boot_root));
	/* Only now: the image was executed by boot_pd. */
	for (u64 i = 0; i < LOW_LARGE_PAGES; i++)
		boot_pd[i] |= PTE_NX;
	boot_pd[KERNEL_PHYS / LARGE] = arch_pa(direct_pt) | PTE_P | PTE_W;
	write_cr3(arch_pa(boot_root));
}

/* Map [start, end), rounded to large pages, in the direct map. The caller keeps below DIRECT_SIZE. */
void mmu_map_direct(struct boot_machine *m, u64 start, u64 end, bool uncached)
{
	for (u64 pa = align_down(start, LARGE); pa < end; pa += LARGE) {
		u64 *pdpt = boot_pdpt, *pd;

		if (!pdpt[pa >> 30])
			pdpt[pa >> 30] = arch_pa(boot_alloc(m, L4_PAGE_BITS)) | PTE_P | PTE_W;
		pd = arch_ptr(pte_addr(pdpt[pa >> 30]));
		pd[pa >> 21 & 511] = pa | PTE_P | PTE_W | PTE_PS | PTE_NX | (uncached ? PTE_PCD | PTE_PWT : 0);
	}
	write_cr3(arch_pa(boot_root));
}

/* Accesses do not fault: without a device they read as ones. A Frame lies below the CPU's physical address limit. */
bool arch_device_access(u64 pa, u64 width, bool store, u64 *value)
{
	/* Accessed and dirty, so that the CPU does not change it. */
	u64 entry = align_down(pa, L4_PAGE_SIZE) | PTE_P | PTE_W | PTE_A | PTE_D | PTE_NX | PTE_PCD | PTE_PWT;
	u32 page = this_cpu()->number ? WINDOW_PAGES + this_cpu()->number : 0; /* each CPU's own */
	u64 window = KERNEL_WINDOW + page * L4_PAGE_SIZE;
	void *at = (void *)(window + pa % L4_PAGE_SIZE);

	if (window_pt[page] != entry) {
		window_pt[page] = entry;
		arch_flush_page(window);
	}
	if (store && width == 1)
		WRITE_ONCE(*(u8 *)at, *value);
	else if (store && width == 2)
		WRITE_ONCE(*(u16 *)at, *value);
	else if (store)
		WRITE_ONCE(*(u32 *)at, *value);
	else
		*value = width == 1 ? READ_ONCE(*(u8 *)at) : width == 2 ? READ_ONCE(*(u16 *)at) : READ_ONCE(*(u32 *)at);
	return true;
}

void mmu_drop_identity(void)
{
	boot_root[0] = 0;
	write_cr3(arch_pa(boot_root));
}
