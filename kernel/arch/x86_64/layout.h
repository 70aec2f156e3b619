/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Where the kernel lives: in entry 256 of a root table, and in the last but one GiB, which is in entry 511. The lower
 * half is the user's; what is left of the upper half may be a guest kernel's (arch/pte.h).
 */
#ifndef X86_LAYOUT_H
#define X86_LAYOUT_H

#define KERNEL_VADDR  0xffffffff80000000 /* physical address 0, first GiB: the kernel's image */
#define KERNEL_WINDOW 0xffffffffbfe00000 /* one page of a device's registers, in the last large page of that GiB */
#define GATE_VADDR    0xffffffffbfe01000 /* behind it: the gate's page (gate.h) */
#define KERNEL_DIRECT 0xffff800000000000 /* physical address 0, all RAM */
#define KERNEL_PHYS   0x200000           /* where the image is loaded */

#define AP_PAGE 0x8000 /* below 1 MiB, which is not given to anybody: where other CPUs start (ap.S), if it is RAM */

#define VECTOR_DEBUG 1

/* Selectors of ring 1, with its privilege level. */
#define SEL_GUEST_CODE 0x49
#define SEL_GUEST_DATA 0x51

/* Instructions that harden.c writes where entry.S left room. */
#define PATCH_SMAP 0
#define PATCH_VERW 1

/* Flags that are user mode's own: ID AC NT OF DF TF SF ZF AF PF CF. */
#define X86_FLAGS_USER 0x244dd5
#define FLAGS_VM       0x20000

#endif
