/* SPDX-License-Identifier: BSD-2-Clause */
/* First instruction of a program: rdi = info page, rsi = UTCB, rsp = top of the stack. */
	.section .text.start, "ax"
	.globl _start
	.type _start, @function
_start:
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	call	l4_start
	ud2
	.size _start, . - _start
	.section .note.GNU-stack, "", @progbits
