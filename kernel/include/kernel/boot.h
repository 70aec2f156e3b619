/* SPDX-License-Identifier: GPL-2.0-only */
/* From the architecture's boot code to the root pager. */
#ifndef KERNEL_BOOT_H
#define KERNEL_BOOT_H

#include <abi_boot.h>
#include <kernel/types.h>

#define BOOT_RANGES 64

struct boot_range {
	u64 start, end;
	u32 kind; /* L4_MEM_* */
};

/* What the architecture found. RAM ranges exclude the kernel, the image and what firmware keeps. */
struct boot_machine {
	struct boot_range range[BOOT_RANGES];
	u32 ranges;
	u64 image_pa, image_size;
	u64 firmware_table;
	u64 counter_hz;
	u64 ram_size;
	u64 kernel_size;
};

void boot_add_range(struct boot_machine *m, u64 start, u64 end, u32 kind);
void boot_remove_range(struct boot_machine *m, u64 start, u64 end);
/* Zeroed memory for good, size and alignment 2^bits, taken from a RAM range; panics if there is none. */
void *boot_alloc(struct boot_machine *m, u32 bits);
void boot_root_pager(struct boot_machine *m) __noreturn;

#endif
