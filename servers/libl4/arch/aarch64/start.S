/* SPDX-License-Identifier: BSD-2-Clause */
/* First instruction of a program: x0 = info page, x1 = UTCB, sp = top of the stack. */
	.section .text.start, "ax"
	.globl _start
	.type _start, @function
_start:
	mov	x29, xzr
	mov	x30, xzr
	bl	l4_start
	brk	#0
	.size _start, . - _start
	.section .note.GNU-stack, "", @progbits
