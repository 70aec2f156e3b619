/* SPDX-License-Identifier: GPL-2.0-only */
/* First instruction of a further vCPU: its second argument is its stack. */
	.section .text.secondary, "ax"
	.globl secondary_start
secondary_start:
	mv	sp, a1
	li	s0, 0
	call	secondary_main
	unimp
	.section .note.GNU-stack, "", @progbits
