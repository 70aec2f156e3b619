/* SPDX-License-Identifier: GPL-2.0-only */
/* Small pieces of riscv64 code that the tests run in guest user mode, in guest kernel mode and in threads. */
#include <abi.h>

	.option norvc
	.option arch, +d
	.section .rodata
#define PROGRAM(name) .global name, name##_end; .balign 16; name:
#define END(name) name##_end:

PROGRAM(arch_user_load)
	ld a7, (a0)
	ecall
	unimp
END(arch_user_load)

PROGRAM(arch_user_store)
	sd a1, (a0)
	ecall
	unimp
END(arch_user_store)

PROGRAM(arch_user_spin)
1:	j 1b
END(arch_user_spin)

PROGRAM(arch_user_trap)
	ebreak
END(arch_user_trap)

PROGRAM(arch_user_count)
1:	ld a1, (a0)
	addi a1, a1, 1
	sd a1, (a0)
	j 1b
END(arch_user_count)

	.text
	.global arch_try_load, arch_try_store, arch_try_trap, arch_fixup
arch_try_load:
	ld a0, (a0)
	sd a0, (a1)
	li a0, 0
	ret
arch_try_store:
	sd a1, (a0)
	li a0, 0
	ret
arch_try_trap:
	ebreak
	li a0, 0
	ret
arch_fixup:
	li a0, 1
	ret

/* What a function keeps, and gp and tp, below sp. */
.macro KEEP op
	\op ra, 0(sp)
	\op gp, 8(sp)
	\op tp, 16(sp)
	\op s0, 24(sp)
	\op s1, 32(sp)
	\op s2, 40(sp)
	\op s3, 48(sp)
	\op s4, 56(sp)
	\op s5, 64(sp)
	\op s6, 72(sp)
	\op s7, 80(sp)
	\op s8, 88(sp)
	\op s9, 96(sp)
	\op s10, 104(sp)
	\op s11, 112(sp)
.endm

/* a0 = vCPU page, a1 = slot of the GuestSpace. */
	.global arch_vcpu_enter
arch_vcpu_enter:
	addi sp, sp, -128
	KEEP sd
	sd sp, L4_VCPU_PAGE_OFF_kernel_sp(a0)
	lla t0, 1f
	sd t0, L4_VCPU_PAGE_OFF_user_entry(a0)
	li a7, L4_SYS_VCPU_ENTER
	ecall
	li t0, 0x1000
	add a0, a0, t0
1:	KEEP ld
	addi sp, sp, 128
	ret

/* The interrupted registers are all in the vCPU page; only the interrupted stack must not be overwritten. */
	.global arch_upcall_entry
arch_upcall_entry:
	addi sp, sp, -256
	andi sp, sp, -16
	call guest_upcall
	unimp

/*
 * a0 = word to watch, a1 = value to wait for, a2 = most rounds. Every other register holds a pattern that
 * an upcall or a preemption must leave alone.
 */
	.global arch_spin_until
arch_spin_until:
	addi sp, sp, -128
	KEEP sd
	li t0, 0x1111111111111111
	sd t0, 120(sp)
	.irp reg, ra, gp, tp, t1, t2, s0, s1, a3, a4, a5, a6, a7, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t3, t4, t5, t6
	addi t0, t0, 1
	mv \reg, t0
	.endr
1:	ld t0, (a0)
	beq t0, a1, 2f
	addi a2, a2, -1
	bnez a2, 1b
2:	ld t0, 120(sp)
	li a0, 0
	.irp reg, ra, gp, tp, t1, t2, s0, s1, a3, a4, a5, a6, a7, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11, t3, t4, t5, t6
	addi t0, t0, 1
	bne \reg, t0, 9f
	.endr
	li a0, 1
9:	KEEP ld
	addi sp, sp, 128
	ret

	.global arch_fpu_fill, arch_fpu_differ
arch_fpu_fill:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmv.d.x f\n, a0
	addi a0, a0, 1
	.endr
	ret
arch_fpu_differ:
	li a1, 0
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmv.x.d a2, f\n
	sub a2, a2, a0
	snez a2, a2
	add a1, a1, a2
	addi a0, a0, 1
	.endr
	mv a0, a1
	ret

	.global arch_tls_set, arch_tls_get
arch_tls_set:
	mv tp, a0
	ret
arch_tls_get:
	mv a0, tp
	ret

/*
 * a0 = number, a1 = capability, a2 = tag, a3 = Reply: a system call, with a value of its own in each register that it
 * keeps. Returns its error, or all ones if one of them has changed.
 */
	.global arch_syscall_keeps
arch_syscall_keeps:
	addi sp, sp, -144
	KEEP sd
	sd a3, 120(sp)
	sd a0, 128(sp)
	sd sp, 136(sp)
	mv t2, a3
	mv a7, a0
	li a0, 17
	.irp reg, ra, gp, tp, t3, t4, t5, t6, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
	mv \reg, a0
	addi a0, a0, 1
	.endr
	ecall
	ld a3, 136(sp)
	bne a3, sp, 1f
	ld a3, 120(sp)
	bne a3, t2, 1f
	ld a3, 128(sp)
	bne a3, a7, 1f
	li a3, 17
	.irp reg, ra, gp, tp, t3, t4, t5, t6, s0, s1, s2, s3, s4, s5, s6, s7, s8, s9, s10, s11
	bne a3, \reg, 1f
	addi a3, a3, 1
	.endr
	j 2f
1:	li a0, -1
2:	KEEP ld
	addi sp, sp, 144
	ret

	.section .note.GNU-stack, "", @progbits
