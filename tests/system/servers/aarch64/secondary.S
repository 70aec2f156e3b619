/* SPDX-License-Identifier: GPL-2.0-only */
/* First instruction of a further vCPU: its second argument is its stack. */
	.section .text.secondary, "ax"
	.globl secondary_start
secondary_start:
	mov	sp, x1
	mov	x29, xzr
	bl	secondary_main
	udf	#0
	.section .note.GNU-stack, "", @progbits
