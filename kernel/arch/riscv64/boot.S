/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * First instructions, from OpenSBI: S mode, translation off, a0 = hart id, a1 = device tree. Makes the kernel's
 * table and turns translation on: Sv48, or Sv39 if satp does not take it. The jump to the kernel's own addresses
 * is the page fault that the first fetch by the new table raises (as there is nothing where the code was).
 */
#include "layout.h"
#include <arch/cpu.h>

#define PTE_TABLE	0x01
#define PTE_DATA	0xe7	/* D A G W R V */
#define PTE_TEXT	0x6b	/* A G X R V */
#define PTE_CONST	0x63	/* A G R V */
#define TEXT_PAGES	512	/* the image is in one table of 4 KiB pages */

	.section .boot.text, "ax"
	.globl boot_start
boot_start:
	csrw sie, zero
	lla t0, boot_taken
	li t1, 1
	amoswap.w.aq t1, t1, (t0)
	bnez t1, boot_again
	/* Direct map: gigabytes. */
	lla t0, boot_kernel_table
	li t1, 256 * 8
	add t1, t1, t0
	li t2, PTE_DATA
	li t3, DIRECT_GIB
	li t4, 1 << 28			/* a gigabyte's page number */
1:	sd t2, (t1)
	add t2, t2, t4
	addi t1, t1, 8
	addi t3, t3, -1
	bnez t3, 1b
	/* The image: entry 510 of it, entry 0 of that, pages. */
	lla t2, boot_image_directory
	srli t3, t2, 2
	ori t3, t3, PTE_TABLE
	sd t3, (t1)
	lla t1, boot_image_table
	srli t3, t1, 2
	ori t3, t3, PTE_TABLE
	sd t3, (t2)
	lla t2, kernel_start
	lla t4, kernel_const
	lla t5, kernel_data
	lla t6, kernel_end
	li a4, 4096
2:	li a3, PTE_DATA
	bgeu t2, t5, 3f
	li a3, PTE_CONST
	bgeu t2, t4, 3f
	li a3, PTE_TEXT
3:	srli a2, t2, 2
	or a2, a2, a3
	sd a2, (t1)
	addi t1, t1, 8
	add t2, t2, a4
	bltu t2, t6, 2b
	/* Root of Sv48: its last entry is the kernel's table. */
	lla t1, boot_sv48_root
	srli t2, t0, 2
	ori t2, t2, PTE_TABLE
	li t3, 4088
	add t3, t3, t1
	sd t2, (t3)

	ld t2, boot_virtual_pointer
	csrw stvec, t2
	sfence.vma
	srli t1, t1, 12
	li t2, SATP_SV48 << SATP_MODE_SHIFT
	or t1, t1, t2
	csrw satp, t1
	/* If satp does not take Sv48, the write changed nothing and this is executed (privileged ISA, 4.1.11). */
	srli t0, t0, 12
	li t2, SATP_SV39 << SATP_MODE_SHIFT
	or t0, t0, t2
	csrw satp, t0
4:	wfi				/* nothing is left to try */
	j 4b

	.balign 8
boot_virtual_pointer:
	.quad boot_virtual
	.balign 4
boot_virtual:
	sfence.vma
	lla sp, riscv_cpus + KERNEL_GUARD + KERNEL_STACK
	li tp, 0
	call riscv_boot

/*
 * Another hart, from SBI's hart_start: as above, a1 = its struct cpu. The boot hart's tables and satp are used; a hart
 * that does not take that satp goes on at the next instruction.
 */
	.balign 4
	.globl boot_hart
boot_hart:
	csrw sie, zero
	ld t0, boot_hart_pointer
	csrw stvec, t0
	lla t0, boot_satp
	ld t0, (t0)
	sfence.vma
	csrw satp, t0
	j 4b

/*
 * Another hart. Under OpenSBI 1.1 one that was being started was seen to come here; the cause may be that a hart may go
 * on before it has been told where. If it is the one that is being started, it goes where it should have come.
 */
boot_again:
	lla t0, boot_next
	ld t1, 0(t0)
	ld a1, 8(t0)
	beq t1, a0, boot_hart
	j 4b

	.balign 8
boot_hart_pointer:
	.quad boot_hart_virtual
	.balign 4
boot_hart_virtual:
	sfence.vma
	mv tp, a1
	ld sp, CPU_STACK(tp)
	call riscv_hart

	.section .bss
	.balign 4096
	.globl boot_kernel_table, boot_sv48_root, boot_image_table
boot_kernel_table:	.skip 4096
boot_sv48_root:		.skip 4096
boot_image_directory:	.skip 4096
boot_image_table:	.skip 4096

	.data
	.balign 8
	.globl boot_satp, boot_next
boot_satp:	.quad 0			/* as the boot hart has it at the end of its set-up */
boot_next:	.quad -1, 0		/* the hart that is being started, its struct cpu */
boot_taken:	.word 0			/* a hart boots, or has booted */

	.section .note.GNU-stack, "", @progbits
