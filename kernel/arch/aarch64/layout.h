/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Addresses of the kernel: in the upper half, TTBR1_EL1's, which belongs to no address space. TTBR0_EL1 is the user's.
 */
#ifndef ARM_LAYOUT_H
#define ARM_LAYOUT_H

#define KERNEL_DIRECT 0xffff000000000000 /* physical address 0, all RAM */
#define KERNEL_VADDR  0xffffff8000000000 /* the kernel's image, wherever it was loaded: less than 2 MiB */
#define KERNEL_WINDOW 0xffffff80001ff000 /* behind it: one page of a device's registers */
#define TEXT_OFFSET   0x200000           /* from the start of RAM */

/* Descriptors of the kernel's pages: see arch/pte.h. */
#define KERNEL_TEXT  0x0040000000000783 /* UXN AF SH RO page */
#define KERNEL_CONST 0x0060000000000783 /* UXN PXN AF SH RO page */
#define KERNEL_DATA  0x0060000000000703 /* UXN PXN AF SH page */

#endif
