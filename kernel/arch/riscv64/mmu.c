// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's own mappings: boot.S made them, every root table has them. No page is both writable and executable; only
 * the image's text is executable; text and constants are writable by no address; the page below the stack is not
 * mapped where the stack is.
 */
#include <kernel/boot.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include "riscv.h"

u64 arch_user_top;
int arch_levels;

#define TAGS 1024 /* more roots than that are not expected to live at a time */

/*
 * Tags (ASIDs) come back when their roots are destroyed. A root for which none is left has tag 0, and while there is
 * such a root every switch forgets all translations; the same on a CPU without tags. A root has one tag on all CPUs; a
 * tag that comes back is forgotten by each CPU before that uses another root. The lock of the kernel guards all of it.
 */
static u64 mode, image_offset, most_tags, untagged_roots;
static u64 tags_used[TAGS / 64] = { 1 };

/* Every CPU forgets all translations before it uses another root. A CPU looks at its mark in load_root(). */
static void mark_stale(void)
{
	for (u32 n = 0; n < cpu_count; n++)
		__atomic_store_n(&cpus[n]->arch.stale, 1, __ATOMIC_RELEASE);
}

static void note_untagged(void)
{
	for (u32 n = 0; n < cpu_count; n++)
		WRITE_ONCE(cpus[n]->arch.untagged, untagged_roots != 0);
}

static u64 tag_take(void)
{
	for (u32 w = 0; w < TAGS / 64; w++) {
		u64 tag = w * 64 + (~tags_used[w] ? __builtin_ctzl(~tags_used[w]) : 64);

		if (tag > most_tags)
			break;
		if (~tags_used[w]) {
			tags_used[w] |= BIT(tag % 64);
			return tag;
		}
	}
	untagged_roots++;
	note_untagged();
	mark_stale();
	return 0;
}

static void tag_give_back(u64 tag)
{
	if (tag)
		tags_used[tag / 64] &= ~BIT(tag % 64);
	else if (!--untagged_roots)
		note_untagged();
}

void *arch_ptr(u64 pa) { return (void *)(pa + KERNEL_DIRECT); }

u64 arch_pa(const void *p)
{
	u64 a = (u64)p;

	return a >= KERNEL_VADDR ? a - image_offset : a - KERNEL_DIRECT;
}

/* Before the first copy of the kernel's table: the direct map has text and constants read-only, as pages. */
static void protect(void)
{
	static u64 directory[512] __aligned(4096), pages[512] __aligned(4096);
	const u64 data = PTE_V | PTE_R | PTE_W | PTE_G | PTE_A | PTE_D;
	u64 start = arch_pa(kernel_start), gib = align_down(start, BIT(30));
	u64 large = align_down(start, BIT(L4_LARGE_PAGE_BITS));

	for (u64 i = 0; i < 512; i++) {
		u64 pa = large + i * L4_PAGE_SIZE;

		directory[i] = (gib + (i << L4_LARGE_PAGE_BITS)) >> 2 | data;
		pages[i] = pa >> 2 | (pa >= start && pa < arch_pa(kernel_data) ? data & ~PTE_W : data);
	}
	directory[(large - gib) >> L4_LARGE_PAGE_BITS] = pte_table(arch_pa(pages));
	boot_kernel_table[256 + (gib >> 30)] = pte_table(arch_pa(directory));
	for (u32 n = 0; n < L4_CPUS_MAX; n++)
		boot_image_table[(kernel_stack_guard(n) - kernel_start) >> L4_PAGE_BITS] = 0;
	__asm__ volatile("sfence.vma" : : : "memory");
}

void mmu_init(void)
{
	u64 satp = csr_read(satp), root = (satp & (BIT(44) - 1)) << L4_PAGE_BITS;

	mode = satp >> SATP_MODE_SHIFT << SATP_MODE_SHIFT;
	arch_levels = satp >> SATP_MODE_SHIFT == SATP_SV48 ? 4 : 3;
	arch_user_top = arch_levels == 4 ? BIT(47) : BIT(38);
	image_offset = (u64)(arch_levels == 4 ? boot_sv48_root : boot_kernel_table) - root;
	this_cpu()->arch.root = boot_satp = satp;
	csr_write(satp, satp | (u64)SATP_ASID_MASK << SATP_ASID_SHIFT);
	most_tags = csr_read(satp) >> SATP_ASID_SHIFT & SATP_ASID_MASK;
	csr_write(satp, satp);
	protect();
}

/* Another hart, which boot.S has given the boot hart's satp. */
void mmu_init_cpu(void)
{
	this_cpu()->arch.root = this_cpu()->idle.root = boot_satp;
	this_cpu()->arch.stale = 1;
}

/* Mode beside needs nothing that other address spaces have not: a guest kernel has the addresses of user mode. */
u32 arch_guest_modes(void) { return BIT(L4_GUEST_BESIDE); }

u32 arch_weak_modes(void) { return 0; }
error_t arch_vspace_guest(struct vspace *v, u32 mode) { return L4_ERR_OK; }
void arch_space_join(u64 *table, u64 root, const struct vspace *v) {}

u64 arch_root_init(u64 *table)
{
	const u64 *from = arch_levels == 4 ? boot_sv48_root : boot_kernel_table;

	for (u32 i = ARCH_ROOT_ENTRIES; i < 512; i++)
		table[i] = from[i];
	return arch_pa(table) >> L4_PAGE_BITS | tag_take() << SATP_ASID_SHIFT | mode;
}

/* Another CPU that has it loaded waits for the lock, or idles: see arch_lock_taken(). */
void arch_root_destroy(u64 root)
{
	struct arch_cpu *c = &this_cpu()->arch;

	mark_stale();
	if (c->root == root)
		load_root(c, boot_satp);
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n]->arch.root == root)
			cpus[n]->arch.root_died = true;
	tag_give_back(root >> SATP_ASID_SHIFT & SATP_ASID_MASK);
}

void arch_root_flush(u64 root)
{
	struct arch_cpu *c = &this_cpu()->arch;

	if (c->root == root)
		flush_root(root);
	else
		c->stale = true;
}

/*
 * Not by the firmware's remote fence, whose caller spins in machine mode, where no emulator that runs CPUs in turn goes on:
 * whoever changes a root that another CPU may have loaded has stopped that, and it looks at its mark when it has the lock.
 */
void arch_root_flush_others(u64 root)
{
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n] != this_cpu())
			__atomic_store_n(&cpus[n]->arch.stale, 1, __ATOMIC_RELEASE);
}

/* Instructions, too: user mode's FENCE.I was for the CPU that it was on. */
void arch_forget_all(void) { __asm__ volatile("sfence.vma\n\tfence.i" : : : "memory"); }

/* Its current thread was moved to another root while it waited. The idle threads have one that stays. */
void arch_lock_taken(struct cpu *cpu)
{
	struct arch_cpu *c = &cpu->arch;

	if (unlikely(c->root_died)) {
		c->root_died = false;
		load_root(c, cpu->current->root ? cpu->current->root : boot_satp);
	}
	if (unlikely(READ_ONCE(c->stale)))
		flush_stale(c);
}

void arch_flush_page(u64 vaddr) { __asm__ volatile("sfence.vma %0" : : "r"(vaddr) : "memory"); }

/* Invalid entries may be cached, too (4.2.1). */
void arch_filled(u64 root) { arch_root_flush(root); }

/* Instruction fetches are not ordered with stores (unprivileged ISA, chapter 3); one fence serves all addresses. */
void arch_code_written(void *p, u64 size) { __asm__ volatile("fence.i" : : : "memory"); }

bool arch_device_access(u64 pa, u64 width, bool store, u64 *value)
{
	return pa < DIRECT_GIB * BIT(30) && riscv_device(arch_ptr(pa), width | (store ? 8 : 0), value);
}

/* What is uncached is the memory's own attribute. */
void *mmu_device(u64 pa, u64 size)
{
	if (pa + size > DIRECT_GIB * BIT(30))
		panic("device at %lx is out of reach", pa);
	return arch_ptr(pa);
}
