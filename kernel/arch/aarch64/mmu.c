// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own mappings, in TTBR1_EL1 and so in no address space, and the roots of address spaces. No page is both
 * writable and executable; only the image's text is executable; text and constants are writable by no address; the
 * page below the stack is not mapped where the stack is.
 *
 * A root is what TTBR0_EL1 takes: a table and an ASID, which is a hash of the table's address. So ASIDs need no
 * allocator: struct arch_cpu notes which root last ran under each, and an ASID is flushed when another root comes, or
 * one that was marked stale (its note is 0) because it changed while it was not in use.
 */
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/paging.h>
#include <devicetree.h>
#include "arm.h"

#define TABLES 32

static u64 tables[TABLES][512] __aligned(4096);
static u32 tables_used;
static u64 image_pa;
u64 mmu_asid_mask;
u64 kernel_identity[2][512] __used __aligned(4096); /* boot.S, of CPUs that are started */

void mmu_init(u64 image)
{
	image_pa = image;
	mmu_asid_mask = ID_FIELD(id_aa64mmfr0_el1, 4) == 2 ? BIT(ARCH_ASID_BITS) - 1 : 255;
	for (u32 n = 0; n < L4_CPUS_MAX; n++)
		kernel_pages[((u64)kernel_stack_guard(n) - KERNEL_VADDR) >> L4_PAGE_BITS] = 0;
	dsb(nshst);
	__asm__ volatile("tlbi vmalle1" : : : "memory");
	dsb(nsh);
	isb();
}

void *arch_ptr(u64 pa) { return (void *)(pa + KERNEL_DIRECT); }

u64 arch_pa(const void *p)
{
	u64 a = (u64)p;

	return a >= KERNEL_VADDR ? a - KERNEL_VADDR + image_pa : a - KERNEL_DIRECT;
}

/* Mode beside needs nothing that other address spaces have not: a guest kernel has the addresses of user mode. */
u32 arch_guest_modes(void) { return BIT(L4_GUEST_BESIDE); }

u32 arch_weak_modes(void) { return 0; }
error_t arch_vspace_guest(struct vspace *v, u32 mode) { return L4_ERR_OK; }
void arch_space_join(u64 *table, u64 root, const struct vspace *v) {}

/* ASID 0 is the empty root's. Tables that are neighbours in memory get different ASIDs. */
u64 arch_root_init(u64 *table)
{
	u64 pa = arch_pa(table), page = pa >> L4_PAGE_BITS, asid = (page ^ page >> ARCH_ASID_BITS) & mmu_asid_mask;

	return pa | (asid ? asid : 1) << 48;
}

void arch_root_flush(u64 root)
{
	struct arch_cpu *c = &this_cpu()->arch;

	if (c->root == root)
		mmu_flush_asid(root_asid(root));
	else if (c->asid_root[root_asid(root)] == root)
		c->asid_root[root_asid(root)] = 0;
}

void arch_root_destroy(u64 root)
{
	struct cpu *cpu = this_cpu();

	if (cpu->arch.root == root)
		mmu_load(&cpu->arch, cpu->idle.root);
	isb();
	arch_root_flush(root);
	arch_root_flush_others(root);
	/* Another VSpace may come to be where this one was. */
	for (u32 n = 0; n < cpu_count; n++) {
		cpus[n]->arch.guest = NULL;
		if (cpus[n]->arch.root == root)
			cpus[n]->arch.stale = cpus[n]->arch.root_died = true;
	}
}

/*
 * Its current thread was moved to another root while it waited; the idle threads have one that stays. Or what it has
 * loaded was changed: then its note is 0, so loading it again flushes.
 */
void arch_lock_taken(struct cpu *cpu)
{
	struct arch_cpu *c = &cpu->arch;
	u64 root = c->root;

	if (likely(!c->stale))
		return;
	if (c->root_died)
		root = cpu->current->root ? cpu->current->root : cpu->idle.root;
	c->stale = c->root_died = false;
	mmu_load(c, root);
}

/*
 * No CPU keeps its note: what comes next under that ASID is flushed there. One that has the root loaded is at the lock,
 * since whoever changes a root that others use has stopped them, and looks at its mark when it has it. A note that is lost
 * costs one flush. Not by a broadcast (TLBI ...IS): its sender waits for all CPUs, which an emulator stops for it, also
 * those that its host does not run; so every flush waited for the host's scheduler, with the lock held.
 */
void arch_root_flush_others(u64 root)
{
	for (u32 n = 0; n < cpu_count; n++) {
		struct arch_cpu *c = &cpus[n]->arch;

		if (cpus[n] == this_cpu())
			continue;
		if (READ_ONCE(c->asid_root[root_asid(root)]) == root)
			WRITE_ONCE(c->asid_root[root_asid(root)], 0);
		if (c->root == root)
			c->stale = true;
	}
}

/* User mode maintains caches of instructions for all CPUs itself. */
void arch_forget_all(void)
{
	dsb(nshst);
	__asm__ volatile("tlbi vmalle1" : : : "memory");
	dsb(nsh);
}

void arch_flush_page(u64 vaddr)
{
	u64 root = this_cpu()->arch.root;

	dsb(nshst);
	__asm__ volatile("tlbi vae1, %0"
	                 :
	                 : "r"(root_asid(root) << 48 | (vaddr >> L4_PAGE_BITS & (BIT(44) - 1)))
	                 : "memory");
	dsb(nsh);
}

void arch_filled(u64 root) { dsb(nshst); }

/* Table that entry e points to, made if there is none. It is in the image, as the direct map is not complete yet. */
static u64 *kernel_table(u64 *e)
{
	if (!pte_valid(*e)) {
		if (tables_used == TABLES)
			panic("more memory or devices than the kernel has tables for");
		*e = pte_table(arch_pa(tables[tables_used++]));
	}
	return (u64 *)(pte_addr(*e) - image_pa + KERNEL_VADDR);
}

/* Map [pa, end) in the direct map, by the largest leaves that fit; what is mapped already stays. */
static void map(u64 pa, u64 end, u64 attributes)
{
	while (pa < end) {
		u64 *table = kernel_root;

		for (int level = 3;; level--) {
			u64 size = level_span(level);
			u64 *e = &table[level_index(pa, level)];

			if (level < 3 && pte_valid(*e) && pte_leaf(*e, level)) {
				pa = align_down(pa, size) + size;
				break;
			}
			if (level < 3 && !pte_valid(*e) && aligned(pa, size) && end - pa >= size) {
				*e = pa | attributes | (level ? 0 : PTE_TABLE);
				pa += size;
				break;
			}
			table = kernel_table(e);
		}
	}
	dsb(nshst);
	isb();
}

/* Map text and constants read-only in the direct map. Later calls of map() leave what is mapped already. */
void mmu_protect(void)
{
	map(arch_pa(kernel_start), arch_pa(kernel_data), PTE_V | PTE_AF | PTE_SH | PTE_PXN | PTE_UXN | PTE_RO);
}

#define DIRECT_TOP BIT(39) /* end of the direct map; a larger one needs larger TABLES */

void mmu_map_direct(u64 start, u64 end)
{
	if (end > DIRECT_TOP)
		panic("memory at %lx is out of reach", start);
	map(start, end, PTE_V | PTE_AF | PTE_SH | PTE_PXN | PTE_UXN);
}

void *mmu_device(u64 pa, u64 size)
{
	u64 start = align_down(pa, L4_PAGE_SIZE), end = align_up(pa + size, L4_PAGE_SIZE);

	if (end > DIRECT_TOP || start >= end)
		panic("device at %lx is out of reach", pa);
	map(start, end, PTE_V | PTE_AF | PTE_SH | PTE_PXN | PTE_UXN | PTE_DEVICE);
	return arch_ptr(pa);
}

bool arch_device_access(u64 pa, u64 width, bool store, u64 *value)
{
	u64 *e = &kernel_pages[511];
	u64 entry = align_down(pa, L4_PAGE_SIZE) | PTE_V | PTE_TABLE | PTE_AF | PTE_SH | PTE_PXN | PTE_UXN | PTE_DEVICE;

	if (*e != entry) {
		/* Invalid in between (D8.14.1). */
		WRITE_ONCE(*e, 0);
		dsb(ishst);
		__asm__ volatile("tlbi vaae1is, %0" : : "r"(KERNEL_WINDOW >> L4_PAGE_BITS & (BIT(44) - 1)) : "memory");
		dsb(ish);
		WRITE_ONCE(*e, entry);
		dsb(ishst);
		isb();
	}
	return arm_device((void *)(KERNEL_WINDOW + pa % L4_PAGE_SIZE), width | (store ? 8 : 0), value);
}

/* The GiB of the kernel's image where it is, for CPUs that turn their MMU on. */
void mmu_make_identity(void)
{
	u64 gib = align_down(image_pa, BIT(30));

	kernel_identity[0][level_index(gib, 3)] = pte_table(arch_pa(kernel_identity[1]));
	kernel_identity[1][level_index(gib, 2)] = gib | PTE_V | PTE_AF | PTE_SH | PTE_UXN | PTE_RO;
	dsb(ish);
}

/* Another CPU: leave the identity map that boot.S gave it. */
void mmu_init_cpu(void)
{
	mmu_load(&this_cpu()->arch, this_cpu()->idle.root);
	isb();
}

/* Drop boot.S' identity map. Its table becomes the empty root of the idle loop. */
void mmu_drop_identity(void)
{
	memset(boot_identity, 0, L4_PAGE_SIZE);
	mmu_flush_asid(0);
	mmu_load(&this_cpu()->arch, this_cpu()->idle.root);
	isb();
}

/* Clean the data cache to where instruction fetches read, then invalidate the instruction cache (B2.7.4). */
void arch_code_written(void *p, u64 size)
{
	u64 line = 4UL << (read_sysreg(ctr_el0) >> 16 & 15);

	for (u64 at = align_down((u64)p, line); at < (u64)p + size; at += line)
		__asm__ volatile("dc cvau, %0" : : "r"(at) : "memory");
	dsb(ish);
	__asm__ volatile("ic ialluis" : : : "memory");
	dsb(ish);
	isb();
}
