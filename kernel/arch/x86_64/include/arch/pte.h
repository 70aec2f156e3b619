/* SPDX-License-Identifier: GPL-2.0-only */
/* Page-table entries (SDM vol. 3, 4.5). Level 0 holds 4 KiB leaves, level 1 2 MiB leaves. */
#ifndef ARCH_PTE_H
#define ARCH_PTE_H

#include <kernel/types.h>

#define ARCH_USER_TOP     L4_USER_TOP
#define ARCH_LEVELS       4
#define ARCH_ROOT_ENTRIES 256    /* that belong to user mode */
#define ARCH_PTE_FRAME    BIT(9) /* ignored by the CPU */
#define ARCH_GUEST_RANGES 3      /* of the upper half, that a guest kernel's VSpace may map */

#define PTE_P    BIT(0)
#define PTE_W    BIT(1)
#define PTE_U    BIT(2)
#define PTE_PWT  BIT(3)
#define PTE_PCD  BIT(4)
#define PTE_A    BIT(5)
#define PTE_D    BIT(6)
#define PTE_PS   BIT(7)
#define PTE_NX   BIT(63)
#define PTE_ADDR 0x000ffffffffff000UL

/* The CPU looks at every bit of an address. */
static inline u64 arch_untagged(u64 addr) { return addr; }

/*
 * Trees are addressed by the bits that the CPU translates: an address without its sign extension, so that the end of a
 * range in the upper half is a number as well.
 */
static inline u64 arch_table_address(u64 vaddr) { return vaddr & (BIT(48) - 1); }
static inline u64 arch_canonical(u64 at) { return (u64)((long)(at << 16) >> 16); }

/*
 * Range n in table addresses, in ascending order. L4's own entries of the upper half, root[256] and the entry for the
 * GiB of its image in the table of root[511], are in none of them.
 */
static inline void arch_guest_range(u32 n, u64 *start, u64 *end)
{
	u64 first = n == 0 ? L4_GUEST_LINEAR_START : n == 1 ? L4_GUEST_DYNAMIC_START : L4_GUEST_IMAGE_START;

	*start = arch_table_address(first);
	*end = n == 2 ? arch_table_address(L4_GUEST_IMAGE_END) : *start + BIT(39);
}

static inline bool pte_valid(u64 e) { return e & PTE_P; }
static inline bool pte_leaf(u64 e, int level) { return !level || (e & PTE_PS); }
static inline u64 pte_addr(u64 e) { return e & PTE_ADDR; }
static inline u64 pte_table(u64 pa) { return pa | PTE_P | PTE_W | PTE_U; }
static inline u64 pte_read_only(u64 e) { return e & ~PTE_W; }
static inline u64 pte_supervisor(u64 e) { return e & ~PTE_U; } /* also for ring 1 */

static inline u64 pte_make(u64 pa, u32 rights, bool uncached, int level)
{
	return pa | PTE_P | PTE_U | (rights & L4_RIGHT_WRITE ? PTE_W : 0) | (rights & L4_RIGHT_EXEC ? 0 : PTE_NX) |
	       (uncached ? PTE_PCD | PTE_PWT : 0) | (level ? PTE_PS : 0);
}

#endif
