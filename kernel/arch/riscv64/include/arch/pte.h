/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Page-table entries (privileged architecture 1.12, 4.3 to 4.5). Level 0 holds 4 KiB leaves, level 1 2 MiB leaves.
 * How many levels there are is found at boot: four (Sv48) or three (Sv39).
 */
#ifndef ARCH_PTE_H
#define ARCH_PTE_H

#include <kernel/types.h>

extern u64 arch_user_top;
extern int arch_levels;

#define ARCH_USER_TOP     arch_user_top
#define ARCH_LEVELS       arch_levels
#define ARCH_ROOT_ENTRIES 256    /* that belong to user mode */
#define ARCH_PTE_FRAME    BIT(8) /* ignored by the CPU */
#define ARCH_GUEST_RANGES 0      /* a guest kernel has the addresses of user mode */

#define PTE_V   BIT(0)
#define PTE_R   BIT(1)
#define PTE_W   BIT(2)
#define PTE_X   BIT(3)
#define PTE_U   BIT(4)
#define PTE_G   BIT(5)
#define PTE_A   BIT(6)
#define PTE_D   BIT(7)
#define PTE_PPN 0x003ffffffffffc00UL

/* The CPU looks at every bit of an address. */
static inline u64 arch_untagged(u64 addr) { return addr; }

/* Trees are addressed by the addresses of user mode themselves, and have no other ranges. */
static inline u64 arch_table_address(u64 vaddr) { return vaddr; }
static inline u64 arch_canonical(u64 at) { return at; }
static inline void arch_guest_range(u32 n, u64 *start, u64 *end) { *start = *end = 0; }

static inline bool pte_valid(u64 e) { return e & PTE_V; }
static inline bool pte_leaf(u64 e, int level) { return e & (PTE_R | PTE_W | PTE_X); }
static inline u64 pte_addr(u64 e) { return (e & PTE_PPN) << 2; }
static inline u64 pte_table(u64 pa) { return pa >> 2 | PTE_V; }
static inline u64 pte_read_only(u64 e) { return e & ~PTE_W; }
static inline u64 pte_supervisor(u64 e) { return e; } /* no guest kernel has more rights than its user mode */

/*
 * An entry without R, W and X would name a table, and W without R is reserved: so all but pure code can be read.
 * The CPU may trap where A or D is clear, and L4 has no use for them. What is not cached is the memory's own
 * attribute (3.6), not the page's.
 */
static inline u64 pte_make(u64 pa, u32 rights, bool uncached, int level)
{
	return pa >> 2 | PTE_V | PTE_U | PTE_A | PTE_D | (rights & L4_RIGHT_WRITE ? PTE_W : 0) |
	       (rights & L4_RIGHT_EXEC ? PTE_X : 0) |
	       ((rights & (L4_RIGHT_READ | L4_RIGHT_WRITE)) || !(rights & L4_RIGHT_EXEC) ? PTE_R : 0);
}

#endif
