/* SPDX-License-Identifier: GPL-2.0-only */
/* Small pieces of x86_64 code that the tests run in guest user mode, in guest kernel mode and in threads. */
#include <abi.h>

	.section .rodata
#define PROGRAM(name) .global name, name##_end; .balign 16; name:
#define END(name) name##_end:

PROGRAM(arch_user_load)
	mov (%rdi), %rax
	syscall
	ud2
END(arch_user_load)

PROGRAM(arch_user_store)
	mov %rsi, (%rdi)
	syscall
	ud2
END(arch_user_store)

PROGRAM(arch_user_spin)
1:	jmp 1b
END(arch_user_spin)

PROGRAM(arch_user_trap)
	ud2
END(arch_user_trap)

PROGRAM(arch_user_count)
1:	incq (%rdi)
	jmp 1b
END(arch_user_count)

/* The registers that a function keeps. */
.macro PUSH_SAVED
	.irp reg, rbx, rbp, r12, r13, r14, r15
	push %\reg
	.endr
.endm
.macro POP_SAVED
	.irp reg, r15, r14, r13, r12, rbp, rbx
	pop %\reg
	.endr
.endm

	.text
	.global arch_try_load, arch_try_store, arch_try_trap, arch_fixup
arch_try_load:
	mov (%rdi), %rax
	mov %rax, (%rsi)
	xor %eax, %eax
	ret
arch_try_store:
	mov %rsi, (%rdi)
	xor %eax, %eax
	ret
arch_try_trap:
	ud2
	xor %eax, %eax
	ret
arch_fixup:
	mov $1, %eax
	ret

/* rdi = vCPU page, rsi = slot of the GuestSpace. */
	.global arch_vcpu_enter
arch_vcpu_enter:
	PUSH_SAVED
	mov %rsp, L4_VCPU_PAGE_OFF_kernel_sp(%rdi)
	lea 1f(%rip), %rax
	mov %rax, L4_VCPU_PAGE_OFF_user_entry(%rdi)
	mov %rsi, %rdi
	mov $L4_SYS_VCPU_ENTER, %eax
	syscall
	lea 0x1000(%rax), %rdi
1:	mov %rdi, %rax
	POP_SAVED
	ret

/* The interrupted registers are all in the vCPU page: only its stack must stay, with the red zone. */
	.global arch_upcall_entry
arch_upcall_entry:
	lea -256(%rsp), %rsp
	and $-16, %rsp
	call guest_upcall
	ud2

/*
 * rdi = word to watch, rsi = value to wait for, rdx = most rounds. Every other register holds a pattern that
 * an upcall or a preemption must leave alone.
 */
	.global arch_spin_until
arch_spin_until:
	PUSH_SAVED
	mov $0x1111111111111111, %rax
	lea 1(%rax), %rbx
	lea 2(%rax), %rcx
	lea 3(%rax), %rbp
	lea 4(%rax), %r8
	lea 5(%rax), %r9
	lea 6(%rax), %r10
	lea 7(%rax), %r11
	lea 8(%rax), %r12
	lea 9(%rax), %r13
	lea 10(%rax), %r14
	lea 11(%rax), %r15
	push %rax
1:	cmp %rsi, (%rdi)
	je 2f
	dec %rdx
	jnz 1b
2:	pop %rdi
	cmp %rdi, %rax
	jne 9f
	.irp reg, rbx, rcx, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	inc %rdi
	cmp %rdi, %\reg
	jne 9f
	.endr
	mov $1, %eax
	jmp 8f
9:	xor %eax, %eax
8:	POP_SAVED
	ret

	.global arch_fpu_fill, arch_fpu_differ
arch_fpu_fill:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq %rdi, %xmm\n
	inc %rdi
	.endr
	ret
arch_fpu_differ:
	xor %eax, %eax
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq %xmm\n, %rdx
	cmp %rdi, %rdx
	setne %cl
	movzx %cl, %ecx
	add %rcx, %rax
	inc %rdi
	.endr
	ret

	.global arch_tls_set, arch_tls_get
arch_tls_set:
	wrfsbase %rdi
	ret
arch_tls_get:
	rdfsbase %rax
	ret

/* The same on a stack of its own, for tests that break theirs. */
	.global x86_64_upcall_apart
x86_64_upcall_apart:
	lea upcall_stack_end(%rip), %rsp
	call guest_upcall
	ud2

/* Steps of a guest kernel of mode above: rsp to its frame, or to its end; registers there, rax to the vCPU page; on. */
.macro TO_FRAME page
	mov L4_VCPU_PAGE_OFF_frame_gpa(\page), %rsp
	add guest_ram(%rip), %rsp
.endm
.macro TO_FRAME_END
	mov vcpu(%rip), %rsp
	TO_FRAME %rsp
	add $L4_FRAME_SIZE, %rsp
.endm
.macro PUSH_REGS
	.irp reg, rdi, rsi, rdx, rcx, rax, r8, r9, r10, r11, rbx, rbp, r12, r13, r14, r15
	push %\reg
	.endr
	mov vcpu(%rip), %rax
.endm
.macro GO_ON_BY reason
	movl $\reason, L4_VCPU_PAGE_OFF_exit_reason(%rax)
	mov L4_VCPU_PAGE_OFF_kernel_sp(%rax), %rsp
	mov $\reason, %edi
	jmp *L4_VCPU_PAGE_OFF_user_entry(%rax)
.endm

/*
 * A guest kernel of mode above: a system call of its user mode comes here from the gate. rcx and r11 are its ip and
 * flags, rsp is free. It does what L4 does beside: registers to the frame, and on at user_entry.
 */
	.global x86_64_guest_syscall, arch_guest_start
x86_64_guest_syscall:
	TO_FRAME_END
	push $0x2b
	push L4_GATE_USER_SP
	push %r11
	push $0x33
	push %rcx
	push %rax
	PUSH_REGS
	GO_ON_BY L4_EXIT_SYSCALL
/* The same for a page fault of user mode, which rax is all that is free for. */
	.global x86_64_guest_fault
x86_64_guest_fault:
	TO_FRAME_END
	push L4_GATE_FAULT_FRAME + 40
	push L4_GATE_FAULT_FRAME + 32
	push L4_GATE_FAULT_FRAME + 24
	push L4_GATE_FAULT_FRAME + 16
	push L4_GATE_FAULT_FRAME + 8
	push L4_GATE_FAULT_FRAME
	PUSH_REGS
	mov L4_GATE_FAULT_ADDR, %rcx
	mov %rcx, L4_VCPU_PAGE_OFF_fault_addr(%rax)
	mov L4_GATE_FAULT_FRAME, %rcx
	mov %ecx, L4_VCPU_PAGE_OFF_fault_present(%rax)
	GO_ON_BY L4_EXIT_FAULT

/* The way out: a look for events, the registers from the frame, IRETQ. The frame is whole until then. */
#define VCPU_PAGE L4_GUEST_IMAGE_START + L4_GUEST_VCPU_VADDR
.macro STEP insn:vararg
99:	\insn
	.pushsection .rodata.steps, "a"
	.byte 99b - x86_64_guest_exit
	.popsection
.endm
	.pushsection .rodata.steps, "a"
	.global x86_64_guest_steps
x86_64_guest_steps:
	.popsection
	.global x86_64_guest_leave, x86_64_guest_exit, x86_64_guest_exit_end, x86_64_guest_events
x86_64_guest_leave:
	PUSH_SAVED
	mov vcpu(%rip), %rdi
	mov %rsp, L4_VCPU_PAGE_OFF_kernel_sp(%rdi)
	lea 1f(%rip), %rax
	mov %rax, L4_VCPU_PAGE_OFF_user_entry(%rdi)
	TO_FRAME %rdi
x86_64_guest_exit:
	STEP cmpl $0, VCPU_PAGE + L4_VCPU_PAGE_OFF_pending
	STEP jne x86_64_guest_events
	.irp reg, r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi
	STEP pop %\reg
	.endr
	STEP add $8, %rsp
	STEP iretq
x86_64_guest_exit_end:
	.pushsection .rodata.steps, "a"
	.global x86_64_guest_steps_end
x86_64_guest_steps_end:
	.popsection
x86_64_guest_events:
	mov vcpu(%rip), %rdi
	incq x86_64_events(%rip)
	movl $0, L4_VCPU_PAGE_OFF_pending(%rdi)
	movq $0, L4_VCPU_PAGE_OFF_events(%rdi)
	TO_FRAME %rdi
	jmp x86_64_guest_exit
1:	mov %rdi, %rax
	POP_SAVED
	ret

/* rdi = Endpoint, rsi = tag: SEND there; goes on as x86_64_guest_leave does. */
	.global x86_64_guest_park
x86_64_guest_park:
	PUSH_SAVED
	mov vcpu(%rip), %rax
	mov %rsp, L4_VCPU_PAGE_OFF_kernel_sp(%rax)
	lea 1b(%rip), %rcx
	mov %rcx, L4_VCPU_PAGE_OFF_user_entry(%rax)
	mov $L4_SYS_SEND, %eax
	syscall
	mov $-1, %rdi
	jmp 1b

arch_guest_start:
	mov $L4_SYS_VCPU_ENTRIES, %eax
	lea x86_64_guest_syscall(%rip), %rdx
	xor %r10d, %r10d
	lea x86_64_guest_exit(%rip), %r8
	lea x86_64_guest_exit_end(%rip), %r9
	push %r12
	lea x86_64_guest_events(%rip), %r12
	syscall
	pop %r12
	ret

/* Events are disabled when it ends. */
	.global x86_64_try_code, x86_64_try_failed
x86_64_try_code:
	PUSH_SAVED
	mov %rsp, try_sp(%rip)
	mov %rdi, %rcx
	mov %rsi, %rdi
	mov %rdx, %rax
	call 1f
	mov %rax, x86_64_try_result(%rip)
	xor %eax, %eax
	jmp 2f
1:	push %rcx
	xor %ecx, %ecx
	xor %edx, %edx
	ret
x86_64_try_failed:
	cld
	mov $1, %eax
2:	mov vcpu(%rip), %rcx
	movl $0, L4_VCPU_PAGE_OFF_irq_enabled(%rcx)
	mov try_sp(%rip), %rsp
	POP_SAVED
	ret

/* For upcall.resolve and upcall.event: on at x86_64_try_failed, with none of the flags that the code may have set. */
	.global x86_64_leave_code
x86_64_leave_code:
	mov vcpu(%rip), %rcx
	lea x86_64_try_failed(%rip), %rax
	mov %rax, L4_VCPU_PAGE_OFF_kernel_frame + L4_FRAME_OFF_ip(%rcx)
	movq $0x202, L4_VCPU_PAGE_OFF_kernel_frame + L4_FRAME_OFF_flags(%rcx)
	mov $1, %eax
	ret

/*
 * Code for x86_64_try_code: goes to rdi on the stack rax with no other register set, and with an event of the vCPU's
 * timer coming, whatever is there. This call of L4 is the last: where the gate's own exit goes to is here.
 */
	.global x86_64_jump
x86_64_jump:
	push %rax
	push %rdi
	mov vcpu(%rip), %rdi
	movl $1, L4_VCPU_PAGE_OFF_irq_enabled(%rdi)
	mov L4_VCPU_PAGE_OFF_counter_hz(%rdi), %rsi
	shr $10, %rsi
	rdtsc
	shl $32, %rdx
	add %rdx, %rsi
	add %rax, %rsi
	xor %edi, %edi
	mov $L4_SYS_VCPU_TIMER, %eax
	syscall
	pop %rdi
	pop %rax
	mov %rax, %rsp
	.irp reg, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15
	xor %\reg, %\reg
	.endr
	jmp *%rdi

/*
 * rdi = number, rsi = capability, rdx = tag, rcx = Reply: a system call, with a value of its own in each register that it
 * keeps. Returns its error, or all ones if one of them has changed.
 */
	.global arch_syscall_keeps
arch_syscall_keeps:
	PUSH_SAVED
	push %rcx
	mov %rcx, %r14
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
	mov %rsp, %rbp
	mov $0x1b, %ebx
	mov $0x1f, %r15d
	syscall
	cmp %rsp, %rbp
	jne 1f
	cmp (%rsp), %r14
	jne 1f
	cmp $0x1b, %rbx
	jne 1f
	cmp $0x1f, %r15
	je 2f
1:	mov $-1, %rax
2:	pop %rcx
	POP_SAVED
	ret

	.bss
	.balign 8
	.global x86_64_try_result, x86_64_events
try_sp:	.skip 8
x86_64_try_result: .skip 8
x86_64_events: .skip 8
	.balign 16
	.skip 4096
upcall_stack_end:

	.section .note.GNU-stack, "", @progbits
