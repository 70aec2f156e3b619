/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the kernel lives: in the last 256 GiB of the address space, which is one table of 512 entries of 1 GiB,
 * of which the upper half is used. With Sv39 that table is the upper half of the root; with Sv48 the root's
 * last entry names it. So addresses do not depend on the mode.
 */
#ifndef RISCV_LAYOUT_H
#define RISCV_LAYOUT_H

#define KERNEL_VADDR  0xffffffff80000000 /* the kernel's image */
#define KERNEL_DIRECT 0xffffffc000000000 /* physical address 0 */
#define DIRECT_GIB    254                /* what the direct map covers */
#define KERNEL_PHYS   0x80200000         /* where OpenSBI looks for it; the code runs at any 2 MiB */

/* Supervisor CSRs (privileged architecture 1.12, chapter 4). */
#define SSTATUS_SPIE   0x20
#define SSTATUS_SPP    0x100
#define SSTATUS_FS     0x6000
#define SSTATUS_UXL_64 0x200000000

#define SATP_MODE_SHIFT 60
#define SATP_ASID_SHIFT 44
#define SATP_ASID_MASK  0xffff
#define SATP_SV39       8
#define SATP_SV48       9

#define CAUSE_ECALL 8

#endif
