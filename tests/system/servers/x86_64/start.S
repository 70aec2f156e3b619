/* SPDX-License-Identifier: GPL-2.0-only */
/* First instruction of the guest that tests the servers: it has no stack yet. */
	.section .text.start, "ax"
	.globl _start
_start:
	leaq	guest_stack_top(%rip), %rsp
	xorl	%ebp, %ebp
	call	guest_main
	ud2
	.section .note.GNU-stack, "", @progbits
