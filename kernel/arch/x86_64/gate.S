/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate: all of L4 that runs while the root of a guest of mode above is loaded. docs/x86_64-gate.md has the argument
 * for each instruction. Its text, the tables of the CPU and struct gate cannot be written there, not even by ring 1; the
 * gate's page and the stacks can, so nothing is decided on what they hold. There is no use of a stack before the root is
 * K's, but by the CPU itself, and for one register while the root is loaded.
 */
#include <abi.h>
#include <arch/cpu.h>
#include "entry.h"
#include "gate.h"
#include "layout.h"

#define GATE(field) gate + GATE_##field(%rip)

	.section .gate.text, "ax", @progbits
/*
 * SYSCALL: rcx = ip, r11 = flags, rsp = the caller's. ENTRY_* are such that one comparison tells all modes; SWAPGS keeps
 * its flags.
 */
	.globl arch_syscall
arch_syscall:
	cmpb $ENTRY_GUEST_KERNEL, GATE(ENTRY)
	js gate_syscall
	swapgs
	jb entry_own
	ja entry_guest_user
	cmp $L4_SYS_VCPU_ENTER, %eax
	je entry_vcpu_enter
	jmp entry_syscall
	int3

/* Mode above. Only ring 1 executes in the upper half, so the sign of rcx tells who calls. */
gate_syscall:
	mov %rsp, L4_GATE_USER_SP
	test %rcx, %rcx
	js gate_call
	lea GATE(SYSCALL_FRAME), %rsp
	iretq
	int3
gate_call:
	mov GATE(ROOT_K), %rsp
	mov %rsp, %cr3
	swapgs
	jmp entry_above
	int3

/* From return_above: all registers but rsp are loaded, GATE(EXIT_FRAME) is what IRETQ loads. */
	.globl gate_exit
gate_exit:
	swapgs
	mov GATE(ROOT_G), %rsp
	mov %rsp, %cr3
	lea GATE(EXIT_FRAME), %rsp
	iretq
	int3

/* Interrupts and exceptions. On their stack, from the top down: ss, sp, flags, cs, ip, error code or 0, rdi. */
gate_trap:
	testb $3, 24(%rsp)
	jz gate_from_kernel
	cmpb $ENTRY_ABOVE, GATE(ENTRY)
	jne entry_trap
	push %rax
	mov GATE(ROOT_K), %rax
	mov %rax, %cr3
	pop %rax
	jmp entry_trap
	int3

/*
 * At CPL 0: an interrupt comes in the idle loop only, where the root is K's. A debug exception is not L4's: it goes on,
 * without the trap flag. Everything else is a panic, for which the registers may be lost. QEMU lets ring 3 have VM, with
 * which cs may be anything: what is left of it is ring 3.
 */
gate_from_kernel:
	testl $FLAGS_VM, 32(%rsp)
	jnz gate_vm86
	cmp $32, %edi
	jae entry_kernel_trap
	cmp $VECTOR_DEBUG, %edi
	je gate_debug
	mov GATE(ROOT_K), %rax
	mov %rax, %cr3
	jmp entry_kernel_trap
	int3
gate_vm86:
	movq $USER_CS, 24(%rsp)
	jmp gate_trap
	int3
gate_debug:
	andl $~0x100, 32(%rsp)
	pop %rdi
	add $8, %rsp
	iretq
	int3

/*
 * A page fault of ring 3 goes to the guest kernel first, if it has an entry for it. What the CPU has pushed moves to
 * L4_GATE_FAULT_FRAME, where this exception's stack begins: the fetch of that entry may fault itself, and is pushed here.
 */
gate_page_fault:
	cmpb $ENTRY_ABOVE, GATE(ENTRY)
	jne 2f
	cmpq $0, GATE(FAULT_FRAME)
	je 1f
	testb $2, 16(%rsp)
	jz 1f
	push %rax
	mov %cr2, %rax
	mov %rax, L4_GATE_FAULT_ADDR
	pop %rax
	.rept 6
	pop 40(%rsp)			/* 40 from rsp as it is after the pop: 48 from where the word was */
	.endr
	lea GATE(FAULT_FRAME), %rsp
	iretq
	int3
1:	push %rdi
	mov $VECTOR_PF, %edi
	jmp gate_trap
	int3
2:	push %rdi			/* another thread: as from gate_trap */
	mov $VECTOR_PF, %edi
	testb $3, 24(%rsp)
	jnz entry_trap
	jmp gate_from_kernel
	int3

	.altmacro
.macro STUB n
	.balign GATE_STUB_SIZE
	.if \n == VECTOR_PF
	jmp gate_page_fault
	.else
	.if (\n == 8) || (\n >= 10 && \n <= 14) || (\n == 17) || (\n == 21) || (\n == 29) || (\n == 30)
	.else
	push $0
	.endif
	push %rdi
	mov $\n, %edi
	jmp gate_trap
	.endif
.endm

	.balign GATE_STUB_SIZE
	.globl gate_stubs
gate_stubs:
	.set n, 0
	.rept 256
	STUB %n
	.set n, n + 1
	.endr

	.section .note.GNU-stack, "", @progbits
