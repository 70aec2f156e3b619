/* SPDX-License-Identifier: GPL-2.0-only */
/* First instruction of the guest that tests the servers: it has no stack yet. */
	.section .text.start, "ax"
	.globl _start
_start:
	adrp	x9, guest_stack_top
	add	x9, x9, :lo12:guest_stack_top
	mov	sp, x9
	mov	x29, xzr
	bl	guest_main
	udf	#0
	.section .note.GNU-stack, "", @progbits
