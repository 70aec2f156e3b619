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
#include "entry.h"
#include "gate.h"
#include "layout.h"

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

/* What a system call left in the registers, to the frame; on with the kernel's stack. */
.macro SAVE_SYSCALL_OF ss, sp, cs
	mov %gs:CPU_FRAME_END, %rsp
	push $\ss
	push \sp
	push %r11
	push $\cs
	push %rcx
	push %rax
	push %rdi
	push %rsi
	SAVE_REGS_AFTER_RSI
	mov %gs:CPU_STACK, %rsp
.endm
.macro SAVE_SYSCALL
	mov %rsp, %gs:CPU_SCRATCH
	SAVE_SYSCALL_OF USER_SS, %gs:CPU_SCRATCH, USER_CS
.endm

/* All registers that IRETQ does not load, from the frame that ends at one of them, or but those that SYSRET uses. */
.macro LOAD_REGS end
	mov AT(r11)(\end), %r11
	mov AT(cx)(\end), %rcx
	LOAD_REGS_OF_SYSRET \end
.endm
.macro LOAD_REGS_OF_SYSRET end
	mov AT(r15)(\end), %r15
	mov AT(r14)(\end), %r14
	mov AT(r13)(\end), %r13
	mov AT(r12)(\end), %r12
	mov AT(bp)(\end), %rbp
	mov AT(bx)(\end), %rbx
	mov AT(r10)(\end), %r10
	mov AT(r9)(\end), %r9
	mov AT(r8)(\end), %r8
	mov AT(ax)(\end), %rax
	mov AT(dx)(\end), %rdx
	mov AT(si)(\end), %rsi
	mov AT(di)(\end), %rdi
.endm

/*
 * A message to a waiting thread stays in its registers: what the sender keeps is saved, and ipc/fast.c decides. It is
 * jumped to and jumps, as it goes on with another thread.
 */
.macro MESSAGE to
	mov %gs:CPU_FRAME_END, %rax
	mov %rdi, AT(di)(%rax)
	mov %rsp, AT(sp)(%rax)
	mov %rcx, AT(ip)(%rax)
	mov %r11, AT(flags)(%rax)
	mov %rcx, AT(cx)(%rax)
	mov %r11, AT(r11)(%rax)
	mov %rbx, AT(bx)(%rax)
	mov %rbp, AT(bp)(%rax)
	mov %r14, AT(r14)(%rax)
	mov %r15, AT(r15)(%rax)
	mov %gs:CPU_STACK, %rsp
	jmp \to
	int3
.endm

/* A message has fewer words than n: the register of the n-th becomes 0. */
.macro ZERO_FROM n, reg
	cmp $\n, %sil
	jae 1b
	xor %\reg\()d, %\reg\()d
.endm

	.text
entry_call:
	MESSAGE ipc_fast_call
entry_reply_recv:
	MESSAGE ipc_fast_reply_recv
entry_call_many:
	MESSAGE ipc_fast_call_many
entry_reply_recv_many:
	MESSAGE ipc_fast_reply_recv_many

/* SYSCALL, with several CPUs: there is no mode above, and a K root is loaded. */
	.globl arch_syscall_many
arch_syscall_many:
	swapgs
	cmpb $ENTRY_GUEST_KERNEL, %gs:CPU_ENTRY
	jb 1f
	ja entry_guest_user
	cmp $L4_SYS_VCPU_ENTER, %eax
	je entry_vcpu_enter
	jmp entry_syscall
1:	cmp $L4_SYS_CALL, %rax
	je entry_call_many
	cmp $L4_SYS_REPLY_RECV, %rax
	je entry_reply_recv_many
	jmp entry_syscall
	int3

/* From the gate, with the kernel's GS base: a system call of a thread that is no vCPU's. */
	.globl entry_own
entry_own:
	cmp $L4_SYS_CALL, %rax
	je entry_call
	cmp $L4_SYS_REPLY_RECV, %rax
	je entry_reply_recv
/* The same of a guest kernel. */
	.globl entry_syscall
entry_syscall:
	SAVE_SYSCALL
call_syscall:
	mov %gs:CPU_SELF, %rdi
	call x86_syscall
	.globl arch_return_to_user
arch_return_to_user:
	mov %gs:CPU_FRAME_END, %rsp
	cmpb $ENTRY_ABOVE, gate + GATE_ENTRY(%rip)
	je return_above
	/* SYSRET if rcx and r11 are ip and flags, as a system call left them. */
	mov AT(cx)(%rsp), %rcx
	mov AT(r11)(%rsp), %r11
	cmp %rcx, AT(ip)(%rsp)
	jne return_iret
	cmp %r11, AT(flags)(%rsp)
	jne return_iret
	mov %rcx, %rax
	shr $47, %rax
	jnz return_high_ip
return_sysret:
	mov %r11, %rax
	and $~(FLAGS_USER | FLAGS_SET), %rax
	jnz return_iret
	test $FLAGS_TF, %r11d		/* SYSRET would trap before the first instruction */
	jnz return_iret
	or $FLAGS_SET, %r11
	LOAD_REGS_OF_SYSRET %rsp
	mov AT(sp)(%rsp), %rsp
	PATCH_CLEAR_BUFFERS
	swapgs
	sysretq
	int3

/* ipc/fast.c did nothing: save the rest. rax = number; ip and flags are in the frame. */
	.globl entry_message
entry_message:
	mov %gs:CPU_FRAME_END, %rsp
	mov %rax, AT(orig_ax)(%rsp)
	mov %rax, AT(ax)(%rsp)
	mov %rsi, AT(si)(%rsp)
	mov %rdx, AT(dx)(%rsp)
	mov %r8, AT(r8)(%rsp)
	mov %r9, AT(r9)(%rsp)
	mov %r10, AT(r10)(%rsp)
	mov %r12, AT(r12)(%rsp)
	mov %r13, AT(r13)(%rsp)
	mov %gs:CPU_STACK, %rsp
	jmp call_syscall
	int3

/*
 * From ipc/fast.c: to a thread that waited in a system call of its own mode, so ip is canonical (user mode has not the
 * last page of its half) and flags were looked at. rax = end of its frame, rdi = badge, rsi = tag. Registers beyond the
 * message become 0.
 */
	.globl return_message
return_message:
	test $0xff, %sil
	jnz 2f
	xor %edx, %edx
	xor %r10d, %r10d
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r12d, %r12d
	xor %r13d, %r13d
1:	mov AT(r15)(%rax), %r15
	mov AT(r14)(%rax), %r14
	mov AT(bp)(%rax), %rbp
	mov AT(bx)(%rax), %rbx
	mov AT(flags)(%rax), %r11
	mov AT(ip)(%rax), %rcx
	mov AT(sp)(%rax), %rsp
	xor %eax, %eax
	PATCH_CLEAR_BUFFERS
	swapgs
	sysretq
	int3
2:	.irp beyond, "6, r13", "5, r12", "4, r9", "3, r8", "2, r10"
	ZERO_FROM \beyond
	.endr
	jmp 1b
	int3

return_iret:
	/* The CPU's own frame is built on the kernel's stack: nobody else can change it. */
	mov %rsp, %rdi
	mov %gs:CPU_STACK, %rsp
	mov AT(ip)(%rdi), %rcx
	mov %rcx, %rax
	shr $47, %rax
	jnz return_high_ip_iret
return_iret_frame:
	mov AT(flags)(%rdi), %rax
	and $FLAGS_USER, %eax
	or $FLAGS_SET, %eax
	push $USER_SS
	push AT(sp)(%rdi)
	push %rax
	push $USER_CS
	push %rcx
	LOAD_REGS %rdi
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

/*
 * A thread of mode above, whose frame is always its own, so its cs is L4's: USER_CS, or else ring 1's. What IRETQ loads
 * is where ring 1 cannot write it. An instruction pointer is of the half of its mode: IRETQ would fault at CPL 0 else.
 */
return_above:
	mov AT(ip)(%rsp), %rcx
	mov AT(flags)(%rsp), %rax
	mov AT(sp)(%rsp), %rdx
	and $FLAGS_USER, %eax
	or $FLAGS_SET, %eax
	mov %rcx, gate + GATE_EXIT_FRAME(%rip)
	mov %rax, gate + GATE_EXIT_FRAME + 16(%rip)
	mov %rdx, gate + GATE_EXIT_FRAME + 24(%rip)
	sar $47, %rcx			/* 0: lower half, -1: upper half */
	cmpl $USER_CS, AT(cs)(%rsp)
	jne 1f
	test %rcx, %rcx
	jnz return_bad_ip
	movq $USER_CS, gate + GATE_EXIT_FRAME + 8(%rip)
	movq $USER_SS, gate + GATE_EXIT_FRAME + 32(%rip)
	jmp 2f
1:	inc %rcx
	jnz return_bad_ip
	movq $SEL_GUEST_CODE, gate + GATE_EXIT_FRAME + 8(%rip)
	movq $SEL_GUEST_DATA, gate + GATE_EXIT_FRAME + 32(%rip)
2:	LOAD_REGS %rsp
	PATCH_CLEAR_BUFFERS
	jmp gate_exit
	int3

/*
 * A system call of a guest kernel of mode above. The user's stack pointer is in the gate's page, which only this CPU's
 * ring 1 could have changed.
 */
	.globl entry_above
entry_above:
	cmp $L4_SYS_VCPU_ENTER, %eax
	je entry_above_enter
	SAVE_SYSCALL_OF SEL_GUEST_DATA, L4_GATE_USER_SP, SEL_GUEST_CODE
	mov %gs:CPU_SELF, %rdi
	call x86_above_syscall
	jmp arch_return_to_user
entry_above_enter:
	mov %gs:CPU_STACK, %rsp
	mov %rdi, %rsi
	mov %gs:CPU_SELF, %rdi
	call x86_above_enter
	jmp arch_return_to_user

/* VCPU_ENTER keeps no register of the guest kernel, so none is saved. rdi = slot. */
	.globl entry_vcpu_enter
entry_vcpu_enter:
	mov %gs:CPU_STACK, %rsp
	mov %rdi, %rsi
	mov %gs:CPU_SELF, %rdi
	call x86_vcpu_enter
	test %rax, %rax
	jnz guest_start
	jmp arch_return_to_user

/*
 * System call from guest user mode: the guest kernel is entered without loading a frame, as by any way out (kernel/mode.h).
 * rax = vCPU page. What C code keeps is in the registers as it was when this thread came into L4.
 */
	.globl entry_guest_user
entry_guest_user:
	SAVE_SYSCALL
	mov %gs:CPU_SELF, %rdi
	call x86_guest_syscall
guest_start:
	mov L4_VCPU_PAGE_OFF_user_entry(%rax), %rcx
	mov L4_VCPU_PAGE_OFF_kernel_sp(%rax), %rsp
	cmp %rcx, %gs:CPU_GUEST_ENTRY
	jne guest_entry_changed
guest_enter:
	mov L4_VCPU_PAGE_OFF_exit_reason(%rax), %edi
	xor %eax, %eax
	xor %edx, %edx
	xor %esi, %esi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	mov $FLAGS_SET, %r11d
	PATCH_CLEAR_BUFFERS
	swapgs
	sysretq
	int3
/* The address that was canonical last is kept: SYSRET would fault at CPL 0 at another. */
guest_entry_changed:
	mov %rcx, %rdx
	shr $47, %rdx
	jz 1f
	cmp $0x1ffff, %edx
	jne 2f
1:	mov %rcx, %gs:CPU_GUEST_ENTRY
	jmp guest_enter
2:	mov %gs:CPU_STACK, %rsp
	call x86_guest_bad_entry
	jmp arch_return_to_user

/*
 * Interrupts and exceptions of ring 1 and 3, from the gate. On the entry stack, or on one of their own (IST), from the
 * top down: ss, sp, flags, cs, ip, error code or 0, rdi; edi = vector.
 */
	.globl entry_trap
entry_trap:
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
	call x86_trap			/* vector, error code; returns a way out */
	test %rax, %rax
	jnz guest_start
	jmp arch_return_to_user

/*
 * At CPL 0: an interrupt in the idle loop, for which the stack is given up, or the one that ends x86_sleep(). An
 * exception is a bug or the end, and may come where the GS base is still the user's.
 */
	.globl entry_kernel_trap
entry_kernel_trap:
	PATCH_CLAC
	cld
	lea 8(%rsp), %rsi
	cmp $32, %edi
	jb 1f
	lea slept(%rip), %rax
	cmp %rax, 16(%rsp)
	je wake
	mov %gs:CPU_STACK, %rsp
	jmp 2f
1:	mov $0xc0000101, %ecx		/* MSR_GS_BASE */
	xor %eax, %eax
	str %ax
	shr $4, %eax
	mov gate_cpus(, %rax, 8), %rax
	mov %rax, %rdx
	shr $32, %rdx
	wrmsr
2:	call x86_kernel_trap		/* vector, error code and what the CPU pushed */
	jmp arch_return_to_user

/* Until an interrupt, of those that the APIC's task priority lets in. Returns its vector, with interrupts off. */
	.globl x86_sleep
x86_sleep:
	sti
	hlt
slept:	cli				/* unreached: the interrupt comes here and goes to wake */
	ud2
wake:	mov %edi, %eax
	mov 40(%rsp), %rsp
	ret
	int3

/*
 * At boot: in ring 1 loads SS with a null selector, which changes nothing on a CPU (SDM vol. 2, MOV), then tries what only
 * ring 0 may. Returns 1 if that works: the privilege level was SS' DPL, which is 0 then. The exceptions lead to the two
 * ends, on any stack.
 */
	.globl gate_probe, gate_probe_ring_0, gate_probe_ring_1
gate_probe:
	mov %rsp, %rdx
	lea -256(%rsp), %rax
	push $SEL_GUEST_DATA
	push %rax
	push $2
	push $SEL_GUEST_CODE
	lea 1f(%rip), %rax
	push %rax
	iretq
1:	mov $1, %eax
	mov %eax, %ss
	mov %cr0, %rax
	int3
gate_probe_ring_0:
	mov $1, %eax
	jmp 2f
gate_probe_ring_1:
	xor %eax, %eax
2:	mov %rdx, %rsp
	mov $KERNEL_SS, %ecx
	mov %ecx, %ss
	ret
	int3

/*
 * At boot, without the FPU: does XSAVE raise #NM, by CR0.TS, or #UD, by CR4.OSXSAVE, as on a CPU (SDM vol. 1, 13.7)?
 * rdi = an area. Returns 1 if it does not. The exceptions lead to the other end.
 */
	.globl fpu_probe, fpu_probe_trapped
fpu_probe:
	mov %rsp, %rcx
	xor %eax, %eax
	xor %edx, %edx
	xsave64 (%rdi)
	mov $1, %eax
	ret
fpu_probe_trapped:
	mov %rcx, %rsp
	xor %eax, %eax
	ret
	int3

/* What is rare on the way out of ipc/fast.c: before, return_message. */
.macro MESSAGE_AFTER name, to
	.globl \name
\name:
	.irp reg, rax, rdi, rsi, rdx, r8, r9, r10
	push %\reg
	.endr
	call \to
	.irp reg, r10, r9, r8, rdx, rsi, rdi, rax
	pop %\reg
	.endr
	jmp return_message
	int3
.endm
	MESSAGE_AFTER return_message_fpu, ipc_fast_fpu
	MESSAGE_AFTER return_message_pass, lock_pass

#ifdef KERNEL_TRACE
	/* Functions that ipc/fast.c may call, as they leave the registers of a message as they are. */
.macro LIVE name, to
	.globl \name
\name:
	.irp reg, rdx, r8, r9, r10
	push %\reg
	.endr
	call \to
	.irp reg, r10, r9, r8, rdx
	pop %\reg
	.endr
	ret
	int3
.endm
	LIVE event_call, event_take
#endif

	.section .note.GNU-stack, "", @progbits
