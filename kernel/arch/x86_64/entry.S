/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ways into the kernel from user mode and back.
 *
 * %gs:CPU_FRAME_END points to the end of the register frame of whatever runs: in the thread, or, for guest user
 * mode, in the guest's memory. The guest and its devices can change that memory at any time, so L4 decides nothing
 * on it: the CPU pushes onto L4's own stack, from where the frame is copied to the guest; on the way out each word
 * is read once, into a register, and checked there; segments are constants.
 *
 * There is no indirect branch but RET (docs/architecture.md, "CPU hardening"; tests/system/test_kernel_memory.py). INT3
 * behind each instruction that does not go on stops straight-line speculation.
 */
#include <abi.h>
#include <arch/cpu.h>
#include "layout.h"

#define FRAME_SIZE	L4_FRAME_SIZE
#define USER_CS		0x33
#define USER_SS		0x2b
#define FLAGS_USER	X86_FLAGS_USER
#define FLAGS_SET	0x202

/*
 * Room for an instruction that harden_init writes on CPUs that need it (harden.c): CLAC, VERW of a word at an absolute
 * address.
 */
.macro PATCH feature, bytes:vararg
771:	.byte \bytes
	.pushsection .patch, "a"
	.quad 771b, \feature
	.popsection
.endm
.macro PATCH_CLAC
	PATCH PATCH_SMAP, 0x0f, 0x1f, 0x00
.endm
.macro PATCH_CLEAR_BUFFERS
	PATCH PATCH_VERW, 0x0f, 0x1f, 0x84, 0, 0, 0, 0, 0
.endm

.macro SAVE_REGS_AFTER_RSI
	push %rdx
	push %rcx
	push %rax
	push %r8
	push %r9
	push %r10
	push %r11
	push %rbx
	push %rbp
	push %r12
	push %r13
	push %r14
	push %r15
.endm

.macro SAVE_SYSCALL
	mov %rsp, %gs:CPU_SCRATCH
	mov %gs:CPU_FRAME_END, %rsp
	push $USER_SS
	push %gs:CPU_SCRATCH
	push %r11
	push $USER_CS
	push %rcx
	push %rax
	push %rdi
	push %rsi
	SAVE_REGS_AFTER_RSI
	mov %gs:CPU_STACK, %rsp
.endm

	.text
/* SYSCALL: rcx = ip, r11 = flags. Which of the three entries is the current thread's mode. */
	.globl arch_syscall
arch_syscall:
	swapgs
	cmpb $ENTRY_GUEST_KERNEL, %gs:CPU_ENTRY
	ja entry_guest_user
	jb entry_own
	cmp $L4_SYS_VCPU_ENTER, %eax
	je entry_vcpu_enter
entry_own:
	SAVE_SYSCALL
	mov %gs:CPU_SELF, %rdi
	call x86_syscall
	.globl arch_return_to_user
arch_return_to_user:
	mov %gs:CPU_FRAME_END, %rsp
	sub $FRAME_SIZE, %rsp
	/* SYSRET if rcx and r11 are ip and flags, as a system call left them. */
	mov L4_FRAME_OFF_cx(%rsp), %rcx
	mov L4_FRAME_OFF_r11(%rsp), %r11
	cmp %rcx, L4_FRAME_OFF_ip(%rsp)
	jne return_iret
	cmp %r11, L4_FRAME_OFF_flags(%rsp)
	jne return_iret
	mov %rcx, %rax
	shr $47, %rax
	jnz return_high_ip
return_sysret:
	mov %r11, %rax
	and $~(FLAGS_USER | FLAGS_SET), %rax
	jnz return_iret
	test $0x100, %r11d		/* TF: SYSRET would trap before the first instruction */
	jnz return_iret
	or $FLAGS_SET, %r11
	mov L4_FRAME_OFF_r15(%rsp), %r15
	mov L4_FRAME_OFF_r14(%rsp), %r14
	mov L4_FRAME_OFF_r13(%rsp), %r13
	mov L4_FRAME_OFF_r12(%rsp), %r12
	mov L4_FRAME_OFF_bp(%rsp), %rbp
	mov L4_FRAME_OFF_bx(%rsp), %rbx
	mov L4_FRAME_OFF_r10(%rsp), %r10
	mov L4_FRAME_OFF_r9(%rsp), %r9
	mov L4_FRAME_OFF_r8(%rsp), %r8
	mov L4_FRAME_OFF_ax(%rsp), %rax
	mov L4_FRAME_OFF_dx(%rsp), %rdx
	mov L4_FRAME_OFF_si(%rsp), %rsi
	mov L4_FRAME_OFF_di(%rsp), %rdi
	mov L4_FRAME_OFF_sp(%rsp), %rsp
	PATCH_CLEAR_BUFFERS
	swapgs
	sysretq
	int3

return_iret:
	/* The CPU's own frame is built on the kernel's stack: nobody else can change it. */
	mov %rsp, %rdi
	mov %gs:CPU_STACK, %rsp
	mov L4_FRAME_OFF_ip(%rdi), %rcx
	mov %rcx, %rax
	shr $47, %rax
	jnz return_high_ip_iret
return_iret_frame:
	mov L4_FRAME_OFF_flags(%rdi), %rax
	and $FLAGS_USER, %eax
	or $FLAGS_SET, %eax
	push $USER_SS
	push L4_FRAME_OFF_sp(%rdi)
	push %rax
	push $USER_CS
	push %rcx
	mov L4_FRAME_OFF_r15(%rdi), %r15
	mov L4_FRAME_OFF_r14(%rdi), %r14
	mov L4_FRAME_OFF_r13(%rdi), %r13
	mov L4_FRAME_OFF_r12(%rdi), %r12
	mov L4_FRAME_OFF_bp(%rdi), %rbp
	mov L4_FRAME_OFF_bx(%rdi), %rbx
	mov L4_FRAME_OFF_r11(%rdi), %r11
	mov L4_FRAME_OFF_r10(%rdi), %r10
	mov L4_FRAME_OFF_r9(%rdi), %r9
	mov L4_FRAME_OFF_r8(%rdi), %r8
	mov L4_FRAME_OFF_ax(%rdi), %rax
	mov L4_FRAME_OFF_cx(%rdi), %rcx
	mov L4_FRAME_OFF_dx(%rdi), %rdx
	mov L4_FRAME_OFF_si(%rdi), %rsi
	mov L4_FRAME_OFF_di(%rdi), %rdi
	PATCH_CLEAR_BUFFERS
	swapgs
	iretq
	int3

/* A guest kernel of mode beside may be in the upper half. Its user mode, and other threads, may not. */
.macro HIGH_IP to
	cmp $0x1ffff, %eax		/* ip >> 47 of a canonical address */
	jne return_bad_ip
	cmpb $ENTRY_GUEST_KERNEL, %gs:CPU_ENTRY
	je \to
.endm
return_high_ip_iret:
	HIGH_IP return_iret_frame
	jmp return_bad_ip
return_high_ip:
	HIGH_IP return_sysret
return_bad_ip:
	mov %gs:CPU_STACK, %rsp
	call x86_bad_ip
	jmp arch_return_to_user

/* VCPU_ENTER keeps no register of the guest kernel, so none is saved. rdi = slot. */
entry_vcpu_enter:
	mov %gs:CPU_STACK, %rsp
	mov %rdi, %rsi
	mov %gs:CPU_SELF, %rdi
	call x86_vcpu_enter
	jmp arch_return_to_user

/* System call from guest user mode: the guest kernel is entered without loading a frame. */
entry_guest_user:
	SAVE_SYSCALL
	mov %gs:CPU_SELF, %rdi
	call x86_guest_syscall		/* returns the vCPU page */
	mov L4_VCPU_PAGE_OFF_user_entry(%rax), %rcx
	mov L4_VCPU_PAGE_OFF_kernel_sp(%rax), %rsp
	mov %rcx, %rdx
	shr $47, %rdx
	jnz guest_high_entry
guest_enter:
	xor %eax, %eax
	xor %esi, %esi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	mov $L4_EXIT_SYSCALL, %edi
	mov $FLAGS_SET, %r11d
	PATCH_CLEAR_BUFFERS
	swapgs
	sysretq
	int3
guest_high_entry:
	cmp $0x1ffff, %edx
	je guest_enter
	mov %gs:CPU_STACK, %rsp
	call x86_guest_bad_entry
	jmp arch_return_to_user

/*
 * Interrupts and exceptions. On the kernel's stack, or on one of its own (IST), from the top down: ss, sp, flags, cs,
 * ip, error code or 0, rdi; edi = vector.
 */
common:
	testb $3, 24(%rsp)
	jz from_kernel
	swapgs
	lfence				/* no load by the user's GS base (CVE-2019-1125) */
	PATCH_CLAC
	cld
	mov %rsi, %gs:CPU_SCRATCH
	mov %rsp, %rsi
	mov %gs:CPU_FRAME_END, %rsp
	push 48(%rsi)
	push 40(%rsi)
	push 32(%rsi)
	push 24(%rsi)
	push 16(%rsi)
	push 8(%rsi)
	push (%rsi)
	push %gs:CPU_SCRATCH
	SAVE_REGS_AFTER_RSI
	mov 8(%rsi), %rsi
	mov %gs:CPU_STACK, %rsp
	call x86_trap			/* vector, error code */
	jmp arch_return_to_user

/*
 * From the idle loop: an interrupt, for which the stack is given up. A debug exception is not L4's: it goes on, without
 * the trap flag. Everything else is a bug or the end, and may come where the GS base is still the user's.
 */
from_kernel:
	cmp $VECTOR_DEBUG, %edi
	je kernel_debug
	PATCH_CLAC
	cld
	lea 8(%rsp), %rsi
	cmp $32, %edi
	jb 1f
	mov %gs:CPU_STACK, %rsp
	jmp 2f
1:	mov $0xc0000101, %ecx		/* MSR_GS_BASE */
	mov $boot_cpu, %rax
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
2:	call x86_kernel_trap		/* vector, error code and what the CPU pushed */
	jmp arch_return_to_user

kernel_debug:
	andl $~0x100, 32(%rsp)
	pop %rdi
	add $8, %rsp
	iretq
	int3

	.altmacro
.macro STUB n
	.balign 16
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
	.else
	push $0
	.endif
	push %rdi
	mov $\n, %edi
	jmp common
.endm

	.balign 16
	.globl x86_stubs
x86_stubs:
	.set n, 0
	.rept 256
	STUB %n
	.set n, n + 1
	.endr

	.section .note.GNU-stack, "", @progbits
