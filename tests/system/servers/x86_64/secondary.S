/* SPDX-License-Identifier: GPL-2.0-only */
/* First instruction of a further vCPU: its second argument is its stack. */
	.section .text.secondary, "ax"
	.globl secondary_start
secondary_start:
	movq	%rsi, %rsp
	xorl	%ebp, %ebp
	call	secondary_main
	ud2
	.section .note.GNU-stack, "", @progbits
