/* SPDX-License-Identifier: GPL-2.0-only */
/* First instruction of the guest that tests the servers: it has no stack yet. */
	.section .text.start, "ax"
	.globl _start
_start:
	la	sp, guest_stack_top
	li	s0, 0
	call	guest_main
	unimp
	.section .note.GNU-stack, "", @progbits
