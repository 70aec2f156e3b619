/* SPDX-License-Identifier: GPL-2.0-only */
/* Translation table descriptors (Arm ARM, D8.3), 4 KiB granule. Level 0 here holds pages, level 1 2 MiB blocks. */
#ifndef ARCH_PTE_H
#define ARCH_PTE_H

#include <kernel/types.h>

#define ARCH_USER_TOP     L4_USER_TOP
#define ARCH_LEVELS       4
#define ARCH_ROOT_ENTRIES 512     /* that belong to user mode: all of TTBR0_EL1's */
#define ARCH_PTE_FRAME    BIT(55) /* left to software */
#define ARCH_GUEST_RANGES 0       /* a guest kernel has the addresses of user mode */

#define PTE_V      BIT(0)
#define PTE_TABLE  BIT(1)     /* table, or at the last level page; else block */
#define PTE_DEVICE BIT(2)     /* AttrIndx 1 of MAIR_EL1 */
#define PTE_USER   BIT(6)     /* AP[1]: user mode may read */
#define PTE_RO     BIT(7)     /* AP[2] */
#define PTE_SH     (3UL << 8) /* inner shareable */
#define PTE_AF     BIT(10)
#define PTE_NG     BIT(11)
#define PTE_PXN    BIT(53)
#define PTE_UXN    BIT(54)
#define PTE_ADDR   0x0000fffffffff000UL

/* The CPU ignores the top byte of a user address (TCR_EL1.TBI0; Arm ARM, D8.8). */
static inline u64 arch_untagged(u64 addr) { return (u64)((long)(addr << 8) >> 8); }

/* Trees are addressed by the addresses of user mode themselves, and have no other ranges. */
static inline u64 arch_table_address(u64 vaddr) { return vaddr; }
static inline u64 arch_canonical(u64 at) { return at; }
static inline void arch_guest_range(u32 n, u64 *start, u64 *end) { *start = *end = 0; }

static inline bool pte_valid(u64 e) { return e & PTE_V; }
static inline bool pte_leaf(u64 e, int level) { return !level || !(e & PTE_TABLE); }
static inline u64 pte_addr(u64 e) { return e & PTE_ADDR; }
static inline u64 pte_table(u64 pa) { return pa | PTE_V | PTE_TABLE; }
static inline u64 pte_read_only(u64 e) { return e | PTE_RO; }
static inline u64 pte_supervisor(u64 e) { return e; } /* no guest kernel has more rights than its user mode */

static inline u64 pte_make(u64 pa, u32 rights, bool uncached, int level)
{
	return pa | PTE_V | PTE_SH | PTE_AF | PTE_NG | PTE_PXN | (level ? 0 : PTE_TABLE) |
	       (rights & (L4_RIGHT_READ | L4_RIGHT_WRITE) ? PTE_USER : 0) | (rights & L4_RIGHT_WRITE ? 0 : PTE_RO) |
	       (rights & L4_RIGHT_EXEC ? 0 : PTE_UXN) | (uncached ? PTE_DEVICE : 0);
}

#endif
