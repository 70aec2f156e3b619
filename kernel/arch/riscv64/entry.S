/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways into the kernel from user mode and back.
 *
 * In the kernel tp points to struct cpu, and so does sscratch, but for the first instructions of an entry. cpu->frame
 * is the register frame of whatever runs: in the thread, or, for guest user mode, in the guest's memory. The kernel
 * runs with interrupts off, so a trap of the kernel itself is a bug, but in riscv_device (below).
 *
 * The guest and its devices can change a frame in their memory at any time, so L4 decides nothing on it: why the CPU
 * came here is read from scause, stval and sstatus; on the way out status is read once, and only FS of it counts; no
 * pc gives a privilege. There is no indirect branch but RET (docs/architecture.md, "CPU hardening";
 * tests/system/test_kernel_memory.py).
 */
#include <abi.h>
#include <arch/cpu.h>
#include "layout.h"

#define FRAME(reg) L4_FRAME_OFF_##reg(sp)

/* What a system call keeps, but sp and tp. */
.macro EACH_KEPT op
	\op ra, FRAME(ra)
	\op gp, FRAME(gp)
	\op t2, FRAME(t2)
	\op s0, FRAME(s0)
	\op s1, FRAME(s1)
	\op a7, FRAME(a7)
	\op s2, FRAME(s2)
	\op s3, FRAME(s3)
	\op s4, FRAME(s4)
	\op s5, FRAME(s5)
	\op s6, FRAME(s6)
	\op s7, FRAME(s7)
	\op s8, FRAME(s8)
	\op s9, FRAME(s9)
	\op s10, FRAME(s10)
	\op s11, FRAME(s11)
	\op t3, FRAME(t3)
	\op t4, FRAME(t4)
	\op t5, FRAME(t5)
	\op t6, FRAME(t6)
.endm

/* What it does not keep, but a0. */
.macro EACH_LOST op
	\op a1, FRAME(a1)
	\op a2, FRAME(a2)
	\op a3, FRAME(a3)
	\op a4, FRAME(a4)
	\op a5, FRAME(a5)
	\op a6, FRAME(a6)
	\op t0, FRAME(t0)
	\op t1, FRAME(t1)
.endm

/* sp of user mode is in scratch, its tp in sscratch. A system call's pc is behind its instruction. */
.macro SAVE skip
	ld sp, CPU_FRAME(tp)
	EACH_KEPT sd
	EACH_LOST sd
	ld t0, CPU_SCRATCH(tp)
	csrrw t1, sscratch, tp
	csrr t2, sepc
	.if \skip
	addi t2, t2, \skip
	.endif
	sd t0, FRAME(sp)
	sd t1, FRAME(tp)
	sd t2, FRAME(pc)
.endm

.macro SAVE_A0_STATUS
	csrr t3, sstatus
	sd a0, FRAME(a0)
	sd t3, FRAME(status)
.endm

/* A message has fewer words than n, which t2 has: the register of the n-th becomes 0. */
.macro ZERO_FROM n, reg
	addi t3, t2, -\n
	bgez t3, 1b
	li \reg, 0
.endm

.macro RETURN
	ld t2, FRAME(pc)
	csrw sepc, t2
	/* Whoever runs next must not store by a reservation of whoever ran before. */
	sc.d zero, t2, (sp)
	EACH_KEPT ld
	EACH_LOST ld
	ld a0, FRAME(a0)
	ld tp, FRAME(tp)
	ld sp, FRAME(sp)
	sret
.endm

/*
 * A message to a waiting thread stays in its registers: what the sender keeps is saved, and ipc/fast.c decides. Ways in
 * and out are jumps, since it goes on with another thread.
 */
.macro MESSAGE to
	ld sp, CPU_FRAME(tp)
	EACH_KEPT sd
	ld t3, CPU_SCRATCH(tp)
	csrrw t4, sscratch, tp
	csrr t5, sepc
	addi t5, t5, L4_SYSCALL_BYTES
	sd t3, FRAME(sp)
	sd t4, FRAME(tp)
	sd t5, FRAME(pc)
	ld sp, CPU_STACK(tp)
	j \to
.endm

/* ECALL: which of the three entries is the current thread's mode. */
.macro ENTRY call, reply_recv
	csrrw tp, sscratch, tp
	sd sp, CPU_SCRATCH(tp)
	csrr sp, scause
	addi sp, sp, -CAUSE_ECALL
	bnez sp, trap
	ld sp, CPU_ENTRY(tp)
	bnez sp, entry_guest
	addi sp, a7, -L4_SYS_CALL
	beqz sp, \call
	addi sp, sp, L4_SYS_CALL - L4_SYS_REPLY_RECV
	beqz sp, \reply_recv
.endm

	.text
	.balign 4
	.globl riscv_entry_many
riscv_entry_many:
	ENTRY entry_call_many, entry_reply_recv_many
	j entry_syscall
	.balign 4
	.globl riscv_entry
riscv_entry:
	ENTRY entry_call, entry_reply_recv
/* a0 will be the result, and the status of its own mode does not change. */
entry_syscall:
	SAVE L4_SYSCALL_BYTES
	ld sp, CPU_STACK(tp)
call_syscall:
	call riscv_syscall
	.globl arch_return_to_user
arch_return_to_user:
	ld t0, CPU_FS_MASK(tp)
	ld sp, CPU_FRAME(tp)
	bnez t0, return_with_fs		/* else FS is off already, as it has to be */
return:
	RETURN

entry_call:
	MESSAGE ipc_fast_call
entry_reply_recv:
	MESSAGE ipc_fast_reply_recv
entry_call_many:
	MESSAGE ipc_fast_call_many
entry_reply_recv_many:
	MESSAGE ipc_fast_reply_recv_many

/* ipc/fast.c did nothing: save the rest. */
	.globl entry_message
entry_message:
	ld sp, CPU_FRAME(tp)
	EACH_LOST sd
	ld sp, CPU_STACK(tp)
	j call_syscall

/*
 * From ipc/fast.c: to a thread that waited in a system call of its own mode. a0 = its frame, a1 = badge, a2 = tag,
 * t2 = its words. Registers beyond the message become 0.
 */
	.globl return_message
return_message:
	bnez t2, 2f
	.irp reg, a3, a4, a5, a6, t0, t1
	li \reg, 0
	.endr
1:	mv sp, a0
	ld t2, FRAME(pc)
	csrw sepc, t2
	sc.d zero, t2, (sp)		/* see return */
	EACH_KEPT ld
	li a0, 0
	ld tp, FRAME(tp)
	ld sp, FRAME(sp)
	sret
2:	.irp beyond, "6, t1", "5, t0", "4, a6", "3, a5", "2, a4"
	ZERO_FROM \beyond
	.endr
	j 1b

entry_guest:
	bltz sp, entry_guest_user
	addi sp, a7, -L4_SYS_VCPU_ENTER
	bnez sp, entry_syscall
/* VCPU_ENTER keeps no register of the guest kernel, so none is saved. a1 = slot. */
	csrw sscratch, tp
	ld sp, CPU_STACK(tp)
	mv a0, a1
	call riscv_vcpu_enter
	bnez a0, guest_start
	ld t0, CPU_FS_MASK(tp)
	ld sp, CPU_FRAME(tp)
return_with_fs:
	ld t1, FRAME(status)
	ld t2, CPU_STATUS(tp)
	and t0, t0, t1
	or t0, t0, t2
	csrw sstatus, t0
	RETURN

/*
 * System call from guest user mode: the guest kernel is entered without loading a frame, as by any way out (kernel/mode.h).
 * a0 = vCPU page. What C code keeps is in the registers as it was when this thread came into L4.
 */
entry_guest_user:
	SAVE L4_SYSCALL_BYTES
	SAVE_A0_STATUS
	ld sp, CPU_STACK(tp)
	call riscv_guest_syscall
guest_start:
	li t0, SSTATUS_FS
	ld t1, L4_VCPU_PAGE_OFF_user_entry(a0)
	ld sp, L4_VCPU_PAGE_OFF_kernel_sp(a0)
	csrs sstatus, t0
	csrw sepc, t1
	/* What the kernel may have left in registers is not for the guest. */
	.irp reg, ra, tp, t0, t1, t2, t3, t4, t5, t6, a1, a2, a3, a4, a5, a6, a7
	li \reg, 0
	.endr
	lwu a0, L4_VCPU_PAGE_OFF_exit_reason(a0)
	sret

trap:
	SAVE 0
	SAVE_A0_STATUS
	ld sp, CPU_STACK(tp)
	csrr a0, scause
	call riscv_trap			/* returns a way out */
	bnez a0, guest_start
	j arch_return_to_user

/*
 * One access to a device; a0: where, a1: width, 8 more for a store, a2: address of the value. Returns whether somebody
 * answered: meanwhile a trap, which can be of this access only, comes to device_fault.
 */
	.globl riscv_device
riscv_device:
	lla t0, device_fault
	csrr t1, sstatus
	ld t2, (a2)
	csrrw t0, stvec, t0
	addi a1, a1, -2
	bltz a1, 1f
	beqz a1, 2f
	addi a1, a1, 2 - 8
	bltz a1, 4f
	addi a1, a1, -2
	bltz a1, 5f
	beqz a1, 6f
	sw t2, (a0)
	j 7f
1:	lbu t2, (a0)
	j 7f
2:	lhu t2, (a0)
	j 7f
4:	lwu t2, (a0)
	j 7f
5:	sb t2, (a0)
	j 7f
6:	sh t2, (a0)
7:	fence iorw, iorw
	csrw stvec, t0
	sd t2, (a2)
	li a0, 1
	ret
	.balign 4
device_fault:
	csrw stvec, t0
	csrw sstatus, t1
	li a0, 0
	ret

/* Nothing to run: until an interrupt is pending, which WFI sees though interrupts are off (3.3.3). */
	.globl arch_idle
arch_idle:
	ld sp, CPU_STACK(tp)
	wfi
	j riscv_wake

	/* What ipc/fast.c leaves as it is. */
.macro EACH_LIVE op
	\op ra, (sp)
	\op a3, 8(sp)
	\op a4, 16(sp)
	\op a5, 24(sp)
	\op a6, 32(sp)
	\op t0, 40(sp)
	\op t1, 48(sp)
.endm

/* What is rare on the way out of ipc/fast.c: before, return_message. */
.macro MESSAGE_AFTER name, to
	.globl \name
\name:
	addi sp, sp, -96
	EACH_LIVE sd
	.irp op, sd, ld
	\op a0, 56(sp)
	\op a1, 64(sp)
	\op a2, 72(sp)
	\op t2, 80(sp)
	.ifc \op, sd
	call \to
	.endif
	.endr
	EACH_LIVE ld
	j return_message
.endm
	MESSAGE_AFTER return_message_fpu, ipc_fast_fpu
	MESSAGE_AFTER return_message_pass, lock_pass

#ifdef KERNEL_TRACE
/* A function that ipc/fast.c may call. */
.macro LIVE name, to
	.globl \name
\name:
	addi sp, sp, -64
	EACH_LIVE sd
	call \to
	EACH_LIVE ld
	addi sp, sp, 64
	ret
.endm
	LIVE event_call, event_take
#endif

	.section .note.GNU-stack, "", @progbits
