/* SPDX-License-Identifier: GPL-2.0-only */
/* Page-table entries (SDM vol. 3, 4.5). Level 0 holds 4 KiB leaves, level 1 2 MiB leaves. */
#ifndef ARCH_PTE_H
#define ARCH_PTE_H

#include <kernel/types.h>

#define ARCH_USER_TOP     L4_USER_TOP
#define ARCH_LEVELS       4
#define ARCH_ROOT_ENTRIES 256    /* that belong to user mode */
#define ARCH_PTE_FRAME    BIT(9) /* ignored by the CPU */

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

static inline bool pte_valid(u64 e) { return e & PTE_P; }
static inline bool pte_leaf(u64 e, int level) { return !level || (e & PTE_PS); }
static inline u64 pte_addr(u64 e) { return e & PTE_ADDR; }
static inline u64 pte_table(u64 pa) { return pa | PTE_P | PTE_W | PTE_U; }
static inline u64 pte_read_only(u64 e) { return e & ~PTE_W; }

static inline u64 pte_make(u64 pa, u32 rights, bool uncached, int level)
{
	return pa | PTE_P | PTE_U | (rights & L4_RIGHT_WRITE ? PTE_W : 0) | (rights & L4_RIGHT_EXEC ? 0 : PTE_NX) |
	       (uncached ? PTE_PCD | PTE_PWT : 0) | (level ? PTE_PS : 0);
}

#endif
