/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways into the kernel from user mode and back.
 *
 * In user mode SP_EL1 points to the register frame of whatever runs: in the thread, or, for guest user mode, in the
 * guest's memory. So every entry saves registers there, whatever the mode. In the kernel SP_EL1 is the kernel's stack,
 * which is empty between entries; its top is the address of struct cpu.
 *
 * The guest and its devices can change a frame in their memory at any time, so L4 decides nothing on it: why the CPU
 * came here is read from ESR_EL1, and on the way out pstate is read once and cut to user mode's flags in a register;
 * any instruction pointer is as good as another. There is no indirect branch but RET (docs/architecture.md, "CPU
 * hardening"; tests/system/test_kernel_memory.py). Barriers behind each ERET stop straight-line speculation.
 */
#include <abi.h>
#include <arch/cpu.h>

#define EC_SVC		0x15
#define SS_BIT		21
#define MDSCR		0x1000		/* TDCC: user mode has no debug channel */
#define MDSCR_STEP	0x1001

.macro EXCEPTION_RETURN
	eret
	dsb	nsh
	isb
.endm

/* What a system call keeps, but x8 and x30. */
.macro EACH_KEPT op
	\op	x10, x11, [sp, #80]
	\op	x12, x13, [sp, #96]
	\op	x14, x15, [sp, #112]
	\op	x16, x17, [sp, #128]
	\op	x18, x19, [sp, #144]
	\op	x20, x21, [sp, #160]
	\op	x22, x23, [sp, #176]
	\op	x24, x25, [sp, #192]
	\op	x26, x27, [sp, #208]
	\op	x28, x29, [sp, #224]
.endm

/* After x0 and x1 are saved; x0 is kept. */
.macro SAVE_REST
	stp	x2, x3, [sp, #16]
	stp	x4, x5, [sp, #32]
	stp	x6, x7, [sp, #48]
	stp	x8, x9, [sp, #64]
	EACH_KEPT stp
	mrs	x1, sp_el0
	mrs	x2, elr_el1
	mrs	x3, spsr_el1
	stp	x30, x1, [sp, #L4_FRAME_OFF_x30]
	stp	x2, x3, [sp, #L4_FRAME_OFF_pc]
.endm

.macro SAVE
	stp	x0, x1, [sp]
	mrs	x0, tpidr_el1
	SAVE_REST
.endm

/* What a system call keeps: x8 and x10 on; with x9, a word of the message. */
.macro SAVE_KEPT
	stp	x8, x9, [sp, #64]
	EACH_KEPT stp
	mrs	x10, sp_el0
	mrs	x11, elr_el1
	mrs	x12, spsr_el1
	stp	x30, x10, [sp, #L4_FRAME_OFF_x30]
	stp	x11, x12, [sp, #L4_FRAME_OFF_pc]
.endm

/*
 * A message to a waiting thread stays in its registers: what the sender keeps is saved, and ipc/fast.c decides. Ways in
 * and out are jumps, since it goes on with another thread.
 */
.macro MESSAGE to
	SAVE_KEPT
	ldr	x1, [sp, #L4_FRAME_OFF_x1]
	mov	sp, x0
	b	\to
.endm

/* A message has fewer words than n, which x8 has: the register of the n-th becomes 0. */
.macro ZERO_FROM n, reg
	cmp	x8, #\n
	b.hs	1b
	mov	\reg, xzr
.endm

	.text
/* SVC: which of the three entries is the current thread's mode. Here: x0 = struct cpu, x0 and x1 are saved. */
.macro ENTRY call, reply_recv
	ldr	x1, [x0, #CPU_ENTRY]
	tbnz	x1, #0, entry_guest_user
	tbnz	x1, #1, entry_guest_kernel
	cmp	x8, #L4_SYS_CALL
	b.eq	\call
	cmp	x8, #L4_SYS_REPLY_RECV
	b.eq	\reply_recv
.endm
entry_svc_many:
	ENTRY	entry_call_many, entry_reply_recv_many
	b	entry_syscall
entry_svc:
	ENTRY	entry_call, entry_reply_recv
entry_syscall:
	SAVE_REST
	mov	sp, x0
call_syscall:
	bl	arm_syscall
return_to_user:				/* here: sp = struct cpu */
	ldr	x0, [sp, #CPU_FRAME]
	mov	sp, x0
	ldp	x1, x2, [sp, #L4_FRAME_OFF_pc]
	mov	w3, #0xf1200000		/* PSTATE_USER */
	and	x2, x2, x3
	tbnz	w2, #SS_BIT, return_stepping
return_loaded:
	ldp	x30, x3, [sp, #L4_FRAME_OFF_x30]
	msr	elr_el1, x1
	msr	spsr_el1, x2
	msr	sp_el0, x3
	EACH_KEPT ldp
	ldp	x8, x9, [sp, #64]
	ldp	x6, x7, [sp, #48]
	ldp	x4, x5, [sp, #32]
	ldp	x2, x3, [sp, #16]
	ldp	x0, x1, [sp]
	EXCEPTION_RETURN

/* Software step (Arm ARM, D2.10): on until the next entry, which comes by vectors of its own. */
return_stepping:
	mov	x3, #MDSCR_STEP
	msr	mdscr_el1, x3
	adrp	x3, arm_stepping_vectors
	msr	vbar_el1, x3
	b	return_loaded

	.globl	arch_return_to_user
arch_return_to_user:
	mrs	x0, tpidr_el1
	mov	sp, x0
	b	return_to_user

entry_call:
	MESSAGE	ipc_fast_call
entry_reply_recv:
	MESSAGE	ipc_fast_reply_recv
entry_call_many:
	MESSAGE	ipc_fast_call_many
entry_reply_recv_many:
	MESSAGE	ipc_fast_reply_recv_many

/* ipc/fast.c did nothing: save the rest. x0 and x1 are in the frame already. */
	.globl	entry_message
entry_message:
	mrs	x0, tpidr_el1
	mov	sp, x0			/* its own stack frame is given up */
	ldr	x8, [x0, #CPU_FRAME]
	stp	x2, x3, [x8, #16]
	stp	x4, x5, [x8, #32]
	stp	x6, x7, [x8, #48]
	b	call_syscall

/*
 * From ipc/fast.c: to a thread that waited in a system call of its own mode, so pstate is what the CPU saved; it is not
 * stepped. x0 = its frame, x1 = badge, x2 = tag, x8 = its words. Registers beyond the message become 0.
 */
	.globl	return_message
return_message:
	cbnz	x8, 2f
	.irp	reg, x3, x4, x5, x6, x7, x9
	mov	\reg, xzr
	.endr
1:	mov	sp, x0
	ldp	x10, x11, [sp, #L4_FRAME_OFF_pc]
	ldp	x30, x12, [sp, #L4_FRAME_OFF_x30]
	msr	elr_el1, x10
	msr	spsr_el1, x11
	msr	sp_el0, x12
	EACH_KEPT ldp
	ldr	x8, [sp, #64]
	mov	x0, xzr
	EXCEPTION_RETURN
2:	.irp	beyond, "6, x9", "5, x7", "4, x6", "3, x5", "2, x4"
	ZERO_FROM \beyond
	.endr
	b	1b

/* VCPU_ENTER keeps no register of the guest kernel, so no more are saved. */
entry_guest_kernel:
	cmp	x8, #L4_SYS_VCPU_ENTER
	b.ne	entry_syscall
	ldr	x1, [sp, #L4_FRAME_OFF_x1]
	mov	sp, x0
	bl	arm_vcpu_enter		/* cpu, slot */
	cbnz	x0, guest_start
	b	return_to_user

/*
 * System call from guest user mode: the guest kernel is entered without loading a frame, as by any way out (kernel/mode.h).
 * x0 = vCPU page. What C code keeps is in the registers as it was when this thread came into L4; what it has left in the
 * others is replaced by what the guest kernel had in them when they were saved last.
 */
entry_guest_user:
	SAVE_REST
	mov	sp, x0
	bl	arm_guest_syscall
guest_start:				/* here: sp = struct cpu */
	ldp	x1, x2, [x0, #L4_VCPU_PAGE_OFF_kernel_sp]	/* and user_entry */
	ldr	x3, [sp, #CPU_FRAME]
	ldr	w0, [x0, #L4_VCPU_PAGE_OFF_exit_reason]
	mov	sp, x3
	msr	sp_el0, x1
	msr	elr_el1, x2
	msr	spsr_el1, xzr
	ldp	x1, x2, [sp, #8]
	ldp	x3, x4, [sp, #24]
	ldp	x5, x6, [sp, #40]
	ldp	x7, x8, [sp, #56]
	ldp	x9, x10, [sp, #72]
	ldp	x11, x12, [sp, #88]
	ldp	x13, x14, [sp, #104]
	ldp	x15, x16, [sp, #120]
	ldp	x17, x18, [sp, #136]
	mov	x30, xzr
	EXCEPTION_RETURN

user_trap:
	mrs	x0, tpidr_el1
	SAVE_REST
	mov	sp, x0
	mrs	x0, esr_el1
	mrs	x1, far_el1
	bl	arm_trap		/* returns a way out */
	cbnz	x0, guest_start
	b	return_to_user

user_irq:
	SAVE
	mov	sp, x0
	bl	arm_irq
	cbnz	x0, guest_start
	b	return_to_user

user_serror:
	stp	x0, x1, [sp]
	b	user_trap

/* Interrupts stay masked in the kernel; the idle loop looks for them. */
	.globl	arch_idle
arch_idle:
	mrs	x0, tpidr_el1
	mov	sp, x0
	dsb	sy
	wfi
	bl	arm_wake
	b	return_to_user

/*
 * One access to a device; x0: where, x1: width, 8 more for a store, x2: address of the value. Returns whether
 * somebody answered: this is the only code of the kernel that may fault, see kernel_trap.
 */
	.globl	arm_device
arm_device:
	ldr	x4, [x2]
	cmp	x1, #2
device_access:
	b.lo	1f
	b.eq	2f
	cmp	x1, #4
	b.eq	4f
	cmp	x1, #10
	b.lo	5f
	b.eq	6f
	str	w4, [x0]
	b	7f
1:	ldrb	w4, [x0]
	b	7f
2:	ldrh	w4, [x0]
	b	7f
4:	ldr	w4, [x0]
	b	7f
5:	strb	w4, [x0]
	b	7f
6:	strh	w4, [x0]
7:	dsb	sy
device_accessed:
	str	x4, [x2]
	mov	x0, #1
	ret
device_fault:
	mov	x0, xzr
	ret

kernel_trap:
	mrs	x9, elr_el1
	adr	x10, device_access
	sub	x9, x9, x10
	cmp	x9, #(device_accessed - device_access)
	b.hs	1f
	adr	x9, device_fault
	msr	elr_el1, x9
	EXCEPTION_RETURN
1:	mrs	x0, tpidr_el1
	mov	x3, sp
	mov	sp, x0
	mrs	x0, esr_el1
	mrs	x1, elr_el1
	mrs	x2, far_el1
	bl	arm_kernel_trap

	.macro	VECTOR to
	.balign	128
	b	\to
	.endm

	.macro	VECTORS svc
	.rept	8			/* from EL1 */
	VECTOR	kernel_trap
	.endr
	.balign	128			/* 0x400: synchronous, from EL0 */
	stp	x0, x1, [sp]
	mrs	x0, esr_el1
	lsr	x0, x0, #26
	cmp	x0, #EC_SVC
	b.ne	user_trap
	mrs	x0, tpidr_el1
	b	\svc
	VECTOR	user_irq
	VECTOR	kernel_trap		/* FIQ: nothing is in its group */
	VECTOR	user_serror
	.rept	4			/* from AArch32, which nobody can enter */
	VECTOR	kernel_trap
	.endr
	.endm

	.balign	4096
	.globl	arm_vectors
arm_vectors:
	VECTORS	entry_svc
	.balign	2048
	.globl	arm_vectors_many
arm_vectors_many:			/* with several CPUs */
	VECTORS	entry_svc_many

	.macro	STEPPED offset
	.balign	128
	str	x0, [sp]
	mov	x0, #MDSCR
	msr	mdscr_el1, x0
	mrs	x0, tpidr_el1
	ldr	x0, [x0, #CPU_VECTORS]
	msr	vbar_el1, x0
	isb
	tbnz	x0, #11, 1f		/* arm_vectors_many */
	ldr	x0, [sp]
	b	arm_vectors + \offset
1:	ldr	x0, [sp]
	b	arm_vectors_many + \offset
	.endm

	.balign	4096
arm_stepping_vectors:
	.rept	8
	VECTOR	kernel_trap
	.endr
	STEPPED	0x400
	STEPPED	0x480
	STEPPED	0x500
	STEPPED	0x580
	.rept	4
	VECTOR	kernel_trap
	.endr

	/* What is rare on the way out of ipc/fast.c: before, return_message. */
	.macro	MESSAGE_AFTER name, to
	.globl	\name
\name:
	stp	x0, x1, [sp, #-80]!
	stp	x2, x8, [sp, #16]
	stp	x3, x4, [sp, #32]
	stp	x5, x6, [sp, #48]
	stp	x7, x9, [sp, #64]
	bl	\to
	ldp	x7, x9, [sp, #64]
	ldp	x5, x6, [sp, #48]
	ldp	x3, x4, [sp, #32]
	ldp	x2, x8, [sp, #16]
	ldp	x0, x1, [sp], #80
	b	return_message
	.endm
	MESSAGE_AFTER return_message_fpu, ipc_fast_fpu
	MESSAGE_AFTER return_message_pass, lock_pass

#ifdef KERNEL_TRACE
	/* A function that ipc/fast.c may call, as it leaves the registers of a message as they are. */
	.macro	LIVE name, to
	.globl	\name
\name:
	stp	x3, x4, [sp, #-64]!
	stp	x5, x6, [sp, #16]
	stp	x7, x9, [sp, #32]
	str	x30, [sp, #48]
	bl	\to
	ldr	x30, [sp, #48]
	ldp	x7, x9, [sp, #32]
	ldp	x5, x6, [sp, #16]
	ldp	x3, x4, [sp], #64
	ret
	.endm
	LIVE	event_call, event_take
#endif

	.section .note.GNU-stack, "", @progbits
