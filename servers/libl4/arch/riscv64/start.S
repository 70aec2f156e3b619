/* SPDX-License-Identifier: BSD-2-Clause */
/* First instruction of a program: a0 = info page, a1 = UTCB, sp = top of the stack. */
	.section .text.start, "ax"
	.globl _start
	.type _start, @function
_start:
	li	s0, 0
	andi	sp, sp, -16
	call	l4_start
	unimp
	.size _start, . - _start
	.section .note.GNU-stack, "", @progbits
