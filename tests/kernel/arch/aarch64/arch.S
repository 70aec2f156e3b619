/* SPDX-License-Identifier: GPL-2.0-only */
/* Small pieces of aarch64 code that the tests run in guest user mode, in guest kernel mode and in threads. */
#include <abi.h>

	.section .rodata
#define PROGRAM(name) .global name, name##_end; .balign 16; name:
#define END(name) name##_end:

PROGRAM(arch_user_load)
	ldr	x2, [x0]
	svc	#0
	udf	#0
END(arch_user_load)

PROGRAM(arch_user_store)
	str	x1, [x0]
	svc	#0
	udf	#0
END(arch_user_store)

PROGRAM(arch_user_spin)
1:	b	1b
END(arch_user_spin)

PROGRAM(arch_user_trap)
	udf	#0
END(arch_user_trap)

PROGRAM(arch_user_count)
1:	ldr	x1, [x0]
	add	x1, x1, #1
	str	x1, [x0]
	b	1b
END(arch_user_count)

	.text
	.global arch_try_load, arch_try_store, arch_try_trap, arch_fixup
arch_try_load:
	ldr	x2, [x0]
	str	x2, [x1]
	mov	x0, #0
	ret
arch_try_store:
	str	x1, [x0]
	mov	x0, #0
	ret
arch_try_trap:
	udf	#0
	mov	x0, #0
	ret
arch_fixup:
	mov	x0, #1
	ret

.macro PUSH_SAVED
	stp	x29, x30, [sp, #-96]!
	stp	x19, x20, [sp, #16]
	stp	x21, x22, [sp, #32]
	stp	x23, x24, [sp, #48]
	stp	x25, x26, [sp, #64]
	stp	x27, x28, [sp, #80]
.endm

.macro POP_SAVED
	ldp	x19, x20, [sp, #16]
	ldp	x21, x22, [sp, #32]
	ldp	x23, x24, [sp, #48]
	ldp	x25, x26, [sp, #64]
	ldp	x27, x28, [sp, #80]
	ldp	x29, x30, [sp], #96
.endm

/* x0 = vCPU page, x1 = slot of the GuestSpace. */
	.global arch_vcpu_enter
arch_vcpu_enter:
	PUSH_SAVED
	mov	x2, sp
	adr	x3, 1f
	str	x2, [x0, #L4_VCPU_PAGE_OFF_kernel_sp]
	str	x3, [x0, #L4_VCPU_PAGE_OFF_user_entry]
	mov	x8, #L4_SYS_VCPU_ENTER
	svc	#0
	add	x0, x0, #0x1000
1:	POP_SAVED
	ret

/* The same; x2 = where to put x0-x30. */
	.global aarch64_vcpu_enter_registers
aarch64_vcpu_enter_registers:
	PUSH_SAVED
	stp	x2, xzr, [sp, #-16]!
	mov	x2, sp
	adr	x3, 1f
	str	x2, [x0, #L4_VCPU_PAGE_OFF_kernel_sp]
	str	x3, [x0, #L4_VCPU_PAGE_OFF_user_entry]
	mov	x8, #L4_SYS_VCPU_ENTER
	svc	#0
1:	str	x0, [sp, #8]
	ldr	x0, [sp]
	stp	x1, x2, [x0, #8]
	stp	x3, x4, [x0, #24]
	stp	x5, x6, [x0, #40]
	stp	x7, x8, [x0, #56]
	stp	x9, x10, [x0, #72]
	stp	x11, x12, [x0, #88]
	stp	x13, x14, [x0, #104]
	stp	x15, x16, [x0, #120]
	stp	x17, x18, [x0, #136]
	stp	x19, x20, [x0, #152]
	stp	x21, x22, [x0, #168]
	stp	x23, x24, [x0, #184]
	stp	x25, x26, [x0, #200]
	stp	x27, x28, [x0, #216]
	stp	x29, x30, [x0, #232]
	ldp	x2, x1, [sp], #16
	str	x1, [x2]
	POP_SAVED
	ret

/* The interrupted registers are all in the vCPU page; only the interrupted stack must not be overwritten. */
	.global arch_upcall_entry
arch_upcall_entry:
	mov	x0, sp
	and	x0, x0, #-16
	mov	sp, x0
	bl	guest_upcall
	brk	#0

/*
 * x0 = word to watch, x1 = value to wait for, x2 = most rounds. Every other register holds a pattern that an upcall
 * or a preemption must leave alone.
 */
	.global arch_spin_until
arch_spin_until:
	PUSH_SAVED
	ldr	x3, =0x1111111111111111
	.irp n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	add	x\n, x3, #\n
	.endr
1:	ldr	x3, [x0]
	cmp	x3, x1
	b.eq	2f
	subs	x2, x2, #1
	b.ne	1b
2:	ldr	x3, =0x1111111111111111
	mov	x0, #0
	.irp n, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	sub	x\n, x\n, x3
	cmp	x\n, #\n
	b.ne	8f
	.endr
	mov	x0, #1
8:	POP_SAVED
	ret
	.ltorg

	.global arch_fpu_fill, arch_fpu_differ
arch_fpu_fill:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmov	d\n, x0
	add	x0, x0, #1
	.endr
	ret
arch_fpu_differ:
	mov	x1, x0
	mov	x0, #0
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmov	x2, d\n
	cmp	x2, x1
	cinc	x0, x0, ne
	add	x1, x1, #1
	.endr
	ret

	.global aarch64_vectors_fill, aarch64_vectors_differ
aarch64_vectors_fill:
	msr	fpcr, x1
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmov	d\n, x0
	add	x0, x0, #1
	ins	v\n\().d[1], x0
	add	x0, x0, #1
	.endr
	ret
aarch64_vectors_differ:
	mrs	x2, fpcr
	cmp	x2, x1
	cset	x1, ne
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	fmov	x2, d\n
	cmp	x2, x0
	cinc	x1, x1, ne
	add	x0, x0, #1
	umov	x2, v\n\().d[1]
	cmp	x2, x0
	cinc	x1, x1, ne
	add	x0, x0, #1
	.endr
	mov	x0, x1
	ret

	.global arch_tls_set, arch_tls_get
arch_tls_set:
	msr	tpidr_el0, x0
	ret
arch_tls_get:
	mrs	x0, tpidr_el0
	ret

/*
 * x0 = number, x1 = capability, x2 = tag, x3 = Reply: a system call, with a value of its own in each register that it
 * keeps. Returns its error, or all ones if one of them has changed.
 */
	.global	arch_syscall_keeps
arch_syscall_keeps:
	PUSH_SAVED
	stp	x3, x0, [sp, #-32]!
	mov	x8, sp
	str	x8, [sp, #16]
	mov	x10, x3
	mov	x8, x0
	.irp n, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	mov	x\n, #\n
	.endr
	svc	#0
	ldp	x3, x4, [sp]
	ldr	x5, [sp, #16]
	mov	x6, sp
	cmp	x5, x6
	ccmp	x4, x8, #0, eq
	ccmp	x3, x10, #0, eq
	.irp n, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30
	mov	x3, #\n
	ccmp	x\n, x3, #0, eq
	.endr
	csinv	x0, x0, xzr, eq
	add	sp, sp, #32
	POP_SAVED
	ret

	.section .note.GNU-stack, "", @progbits
