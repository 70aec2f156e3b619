/* SPDX-License-Identifier: GPL-2.0-only */
/* Geometry that all page tables here share: 512 entries a table, level 0 holds pages. */
#ifndef KERNEL_PAGING_H
#define KERNEL_PAGING_H

#include <kernel/types.h>

#define TABLE_ENTRIES 512

static inline u64 level_span(int level) { return BIT(L4_PAGE_BITS + 9 * level); }
static inline u64 level_index(u64 addr, int level) { return addr >> (L4_PAGE_BITS + 9 * level) & (TABLE_ENTRIES - 1); }

#endif
