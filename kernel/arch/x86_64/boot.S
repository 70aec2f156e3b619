/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * PVH entry (Xen's x86/HVM direct boot ABI): 32-bit protected mode, paging off, ebx = hvm_start_info.
 * Makes page tables for the first 4 GiB at 0, KERNEL_DIRECT and the kernel's own address, and goes to C.
 */
#include "layout.h"

	.section .note.pvh, "a", @note
	.balign 4
	.long 4, 4, 18			/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long pvh_start - KERNEL_VADDR

#define PHYS(x) ((x) - KERNEL_VADDR)

	.section .boot.text, "ax"
	.code32
	.globl pvh_start
pvh_start:
	cld
	cli
	mov $PHYS(boot_stack_top), %esp
	mov %ebx, %esi
	/* Four page directories of 2 MiB leaves. */
	mov $PHYS(boot_pd), %edi
	mov $0x83, %eax
	xor %ecx, %ecx
1:	mov %eax, (%edi, %ecx, 8)
	movl $0, 4(%edi, %ecx, 8)
	add $0x200000, %eax
	inc %ecx
	cmp $2048, %ecx
	jb 1b
	mov $PHYS(boot_pdpt), %edi
	mov $(PHYS(boot_pd) + 3), %eax
	xor %ecx, %ecx
2:	mov %eax, (%edi, %ecx, 8)
	add $0x1000, %eax
	inc %ecx
	cmp $4, %ecx
	jb 2b
	movl $(PHYS(boot_pd) + 3), PHYS(boot_pdpt_kernel) + 510 * 8
	mov $PHYS(boot_root), %edi
	movl $(PHYS(boot_pdpt) + 3), (%edi)
	movl $(PHYS(boot_pdpt) + 3), 256 * 8(%edi)
	movl $(PHYS(boot_pdpt_kernel) + 3), 511 * 8(%edi)
	mov %edi, %cr3
	mov %cr4, %eax
	or $0x20, %eax			/* PAE */
	mov %eax, %cr4
	mov $0xc0000080, %ecx		/* EFER: SCE, LME, NXE */
	rdmsr
	or $0x901, %eax
	wrmsr
	mov $0x80010033, %eax		/* PG WP NE ET MP PE */
	mov %eax, %cr0
	lgdt PHYS(boot_gdt_pointer)
	ljmp $8, $PHYS(long_mode)
	.code64
long_mode:
	mov $16, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	movabs $boot_stack_top, %rsp
	mov %esi, %edi
	xor %ebp, %ebp
	movabs $x86_boot, %rax
	jmp *%rax

	.balign 8
boot_gdt:
	.quad 0, 0x00af9a000000ffff, 0x00cf92000000ffff
boot_gdt_pointer:
	.word 23
	.long PHYS(boot_gdt)

	.section .bss
	.balign 4096
	.globl boot_root, boot_pdpt, boot_pdpt_kernel, boot_pd
boot_root:	.skip 4096
boot_pdpt:	.skip 4096
boot_pdpt_kernel: .skip 4096
boot_pd:	.skip 4 * 4096
	.globl boot_stack_top, boot_stack_guard
boot_stack_guard: .skip 4096
boot_stack:	.skip 16384
boot_stack_top:

	.section .note.GNU-stack, "", @progbits
