/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How another CPU starts (SDM vol. 3, 9.4): in real mode, in the page below 1 MiB to which this is copied. From there at
 * once to 64-bit mode, by tables that map the first 2 MiB and the kernel; then to C.
 */
#include "layout.h"

#define AP(x) (AP_PAGE + (x) - ap_start)

	.section .boot.text, "ax"
	.code16
	.globl ap_start, ap_end, ap_root, ap_stack, ap_cpu
ap_start:
	cli
	cld
	xor %eax, %eax
	mov %eax, %ds
	lgdtl AP(ap_gdt_pointer)
	mov $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov AP(ap_root), %eax
	mov %eax, %cr3
	mov $0xc0000080, %ecx		/* EFER: SCE, LME, NXE */
	rdmsr
	or $0x901, %eax
	wrmsr
	mov $0x80010033, %eax		/* PG WP NE ET MP PE */
	mov %eax, %cr0
	ljmpl $8, $AP(ap_long_mode)
	.code64
ap_long_mode:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov ap_stack(%rip), %rsp
	mov ap_cpu(%rip), %rdi
	xor %ebp, %ebp
	movabs $x86_secondary, %rax
	push $0
	push %rax
	ret
	int3

	.balign 8
ap_gdt:
	.quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
ap_gdt_pointer:
	.word 23
	.long AP(ap_gdt)
	.balign 8
/* Written in the copy. */
ap_root:  .quad 0
ap_stack: .quad 0
ap_cpu:   .quad 0
ap_end:

	.section .note.GNU-stack, "", @progbits
