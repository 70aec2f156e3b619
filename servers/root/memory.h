/* SPDX-License-Identifier: GPL-2.0-only */
/* The machine's RAM, and the root pager's own slots, objects and mappings. */
#ifndef ROOT_MEMORY_H
#define ROOT_MEMORY_H

#include "pool.h"

#define RIGHTS_RW  (L4_RIGHT_READ | L4_RIGHT_WRITE)
#define RIGHTS_RWX (RIGHTS_RW | L4_RIGHT_EXEC)

/* The root pager's address space, beside what the ABI says. Each window starts a table of its own. */
#define SCRATCH_VADDR    0x0ffff000UL /* one page at a time */
#define LOG_VADDR        0x11000000UL
#define CALLS_UTCB_VADDR 0x12000000UL
#define IMAGE_VADDR      0x1000000000UL /* plus physical address */
#define GUEST_VADDR      0x2000000000UL /* plus guest-physical address, while a guest is loaded */
#define DEVICE_VADDR     0x3000000000UL

void memory_init(void);

/* Write how much RAM is used; guest_bytes of it are the guests' own. */
void memory_report(u64 guest_bytes);

/* From the root pager's pool, for ever: pool.h. */
struct pool *memory_pool(void);
unsigned long slot_alloc(unsigned long count);
unsigned long object_alloc(unsigned long type, unsigned long size_bits, unsigned long count);
unsigned long cap_copy(unsigned long cap);
unsigned long cap_mint(unsigned long cap, unsigned long rights, unsigned long badge);

/* A Frame of what the kernel keeps for one purpose (L4_MEM_...), entry i of boot_info. */
unsigned long boot_frame(unsigned int i);

/* Fill a Frame of one page that is (or will be) mapped elsewhere. */
void page_fill(unsigned long frame, u64 offset, const void *from, u64 bytes);

#endif
