/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Entry by Linux' boot protocol (Documentation/arch/arm64/booting.rst): MMU off, x0 = device tree, EL1 or EL2, the
 * image at TEXT_OFFSET from a multiple of 2 MiB. Makes the tables of the kernel's image, and goes to C.
 */
#include "layout.h"
#include <arch/cpu.h>

	.section .boot.text, "ax"
	.globl _start
_start:
	b	boot
	.long	0
	.quad	TEXT_OFFSET
	.quad	kernel_image_size
	.quad	0xa			/* little-endian, 4 KiB pages, anywhere in memory */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

/* Shareability and cacheability of table walks, 48-bit addresses in both halves, top byte ignored for user mode. */
#define TCR		(16 | 1 << 8 | 1 << 10 | 3 << 12 | 16 << 16 | 1 << 24 | 1 << 26 | 3 << 28 | 2 << 30 | 1 << 37)
#define TCR_AS		(1 << 36)	/* 16-bit ASIDs */
#define TCR_E0PD1	(1 << 56)	/* no walk of TTBR1 for user mode: none of L4's memory by speculation (Meltdown) */
#define MAIR		0x04ff		/* 0: write-back memory, 1: Device-nGnRE */
/*
 * LSMAOE nTLSMD UCI SPAN EIS TSCXT nTWE UCT DZE I EOS SED ITD SA0 SA C M: user mode may maintain caches, zero blocks,
 * read CTR_EL0 and wait for events; alignment is checked for stack pointers only.
 */
#define SCTLR		0x34d4d99d
#define SCTLR_OFF	0x30d00980	/* with the MMU off: what reads as one */

/* To EL1 for good, if this is EL2, with all that EL2 controls given to EL1 (Arm ARM, D19.2). */
.macro LEAVE_EL2
	mrs	x0, currentel
	cmp	x0, #8
	b.ne	9f
	mov	x0, #1 << 31		/* HCR_EL2.RW */
	msr	hcr_el2, x0
	mov	x0, #3			/* EL1 may use counter and timer */
	msr	cnthctl_el2, x0
	msr	cntvoff_el2, xzr
	mov	x0, #0x33ff		/* no trap of FP and SIMD */
	msr	cptr_el2, x0
	msr	hstr_el2, xzr
	msr	vttbr_el2, xzr
	mrs	x0, midr_el1
	msr	vpidr_el2, x0
	mrs	x0, mpidr_el1
	msr	vmpidr_el2, x0
	mrs	x0, id_aa64dfr0_el1
	ubfx	x1, x0, #8, #4		/* PMUVer */
	sub	x1, x1, #1
	cmp	x1, #14
	b.hs	1f
	mrs	x0, pmcr_el0
	ubfx	x0, x0, #11, #5		/* all event counters are EL1's */
	msr	mdcr_el2, x0
1:	mrs	x0, id_aa64pfr0_el1
	ubfx	x0, x0, #24, #4		/* GIC by system registers */
	cbz	x0, 2f
	mov	x0, #0xf
	msr	S3_4_C12_C9_5, x0	/* ICC_SRE_EL2 */
	isb
	msr	S3_4_C12_C11_0, xzr	/* ICH_HCR_EL2 */
2:	ldr	x0, =SCTLR_OFF
	msr	sctlr_el1, x0
	mov	x0, #0x3c5		/* EL1h, all masked */
	msr	spsr_el2, x0
	adr	x0, 9f
	msr	elr_el2, x0
	eret
9:	msr	spsel, #1
.endm

/* Translation on; x1 = table of TTBR0_EL1, in which this code is where it is. Goes on at \to, in the kernel's image. */
.macro ENABLE_MMU to
	mov	x0, #MAIR
	msr	mair_el1, x0
	ldr	x0, =TCR
	mrs	x3, id_aa64mmfr0_el1
	and	x2, x3, #7		/* PARange; 52 bits and more need more than this table format */
	cmp	x2, #5
	mov	x4, #5
	csel	x2, x2, x4, lo
	orr	x0, x0, x2, lsl #32
	ubfx	x2, x3, #4, #4		/* ASIDBits */
	cmp	x2, #2
	b.ne	6f
	orr	x0, x0, #TCR_AS
6:	mrs	x3, S3_0_C0_C7_2	/* ID_AA64MMFR2_EL1 */
	ubfx	x3, x3, #60, #4		/* E0PD */
	cbz	x3, 7f
	orr	x0, x0, #TCR_E0PD1
7:	msr	tcr_el1, x0
	msr	ttbr0_el1, x1
	adrp	x0, kernel_root
	msr	ttbr1_el1, x0
	isb
	ldr	x0, =SCTLR
	msr	sctlr_el1, x0
	isb
	ldr	x0, =\to
	br	x0
.endm

boot:
	msr	daifset, #15
	mov	x20, x0
	LEAVE_EL2
	adrp	x21, kernel_start	/* where the image was loaded */
	tst	x21, #0x1fffff
	b.ne	.

	/* Tables: identity for one GiB (TTBR0), the image's pages (TTBR1). */
	adrp	x1, kernel_tables
	adrp	x2, kernel_end
3:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	3b
	adrp	x1, boot_identity
	add	x2, x1, #0x1000
	add	x2, x2, #3
	ubfx	x3, x21, #39, #9
	str	x2, [x1, x3, lsl #3]
	add	x1, x1, #0x1000
	ubfx	x3, x21, #30, #9
	lsr	x4, x21, #30
	lsl	x4, x4, #30
	mov	x5, #0x701		/* AF SH block */
	orr	x4, x4, x5
	str	x4, [x1, x3, lsl #3]

	adrp	x1, kernel_root
	add	x2, x1, #0x1000
	add	x2, x2, #3
	str	x2, [x1, #511 * 8]
	add	x1, x1, #0x1000
	add	x2, x1, #0x1000
	add	x2, x2, #3
	str	x2, [x1]
	add	x1, x1, #0x1000
	add	x2, x1, #0x1000
	add	x2, x2, #3
	str	x2, [x1]
	add	x1, x1, #0x1000
	mov	x2, x21
	ldr	x3, =KERNEL_TEXT
	ldr	x4, =KERNEL_DATA
	ldr	x8, =KERNEL_CONST
	adrp	x5, kernel_const
	adrp	x9, kernel_data
	adrp	x6, kernel_end
4:	cmp	x2, x9
	csel	x7, x8, x4, lo
	cmp	x2, x5
	csel	x7, x3, x7, lo
	orr	x7, x7, x2
	str	x7, [x1], #8
	add	x2, x2, #0x1000
	cmp	x2, x6
	b.lo	4b

	/* The tables were written with the caches off. Invalidate stale lines of them. */
	dmb	sy
	mrs	x3, ctr_el0
	ubfx	x3, x3, #16, #4
	mov	x4, #4
	lsl	x3, x4, x3
	adrp	x1, kernel_tables
5:	dc	ivac, x1
	add	x1, x1, x3
	cmp	x1, x6
	b.lo	5b
	tlbi	vmalle1
	dsb	sy

	adrp	x1, boot_identity
	ENABLE_MMU high
high:
	adrp	x1, kernel_bss
	add	x1, x1, :lo12:kernel_bss
	adrp	x2, kernel_bss_end
	add	x2, x2, :lo12:kernel_bss_end
7:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	7b
	ldr	x0, =arm_cpus + KERNEL_GUARD + KERNEL_STACK
	msr	tpidr_el1, x0
	mov	sp, x0
	adrp	x0, arm_vectors
	msr	vbar_el1, x0
	mov	x29, xzr
	mov	x30, xzr
	mov	x0, x20
	mov	x1, x21
	b	arm_boot

/*
 * Another CPU, from PSCI: MMU off, x0 = its struct cpu. It reads nothing but code and constants before its MMU is on:
 * what others wrote may still be in their caches only.
 */
	.globl	boot_secondary
boot_secondary:
	msr	daifset, #15
	mov	x20, x0
	LEAVE_EL2
	tlbi	vmalle1
	dsb	nsh
	adrp	x1, kernel_identity
	ENABLE_MMU secondary_high
secondary_high:
	msr	tpidr_el1, x20
	mov	sp, x20
	adrp	x0, arm_vectors
	msr	vbar_el1, x0
	mov	x29, xzr
	mov	x30, xzr
	b	arm_secondary

	.section .tables, "aw", @nobits
	.balign	4096
	.globl	kernel_root, kernel_pages, boot_identity
boot_identity:	.skip 2 * 4096
kernel_root:	.skip 3 * 4096
kernel_pages:	.skip 4096

	.section .note.GNU-stack, "", @progbits
