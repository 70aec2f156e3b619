/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests need to know of x86_64; every architecture's arch.h defines the same names. */
#ifndef ARCH_H
#define ARCH_H

#include <l4/types.h>
#include <l4/arch.h>

#define ARCH_FREE_LINE 5 /* an interrupt line without a device */
/* Line of the serial line's transmitter: a level or edges; its registers, or ports; where its interrupt is enabled. */
#define ARCH_LINE          4
#define ARCH_LINE_LEVEL    0
#define ARCH_LINE_PADDR    0
#define ARCH_LINE_AT       0x3f9
#define ARCH_LINE_WIDTH    1
#define ARCH_LINE_ON       0x02
#define ARCH_TRAP_VECTOR   6 /* what arch_user_trap raises */
#define ARCH_FPU_REGISTERS 16
/* A register that keeps what is written: where HPET's timer 0 would send its messages. */
#define ARCH_REGISTER_PADDR  0xfed00110UL
#define ARCH_REGISTER_WIDTHS 4
#define ARCH_REGISTER_MASK   0xffffffffUL
#define ARCH_NOBODY_PADDR    0xfed80000UL /* no device is there: reads as ones */
#define ARCH_NOBODY_ERROR    L4_ERR_OK

/* Where a guest kernel in the upper half has its program, its RAM and its own table's pages. */
#define ARCH_GUEST_BASE L4_GUEST_IMAGE_START
#define ARCH_GUEST_RAM  L4_GUEST_LINEAR_START
#define ARCH_GUEST_OWN  (L4_GUEST_DYNAMIC_START + 0x3f00000000UL)
void arch_guest_start(void); /* of mode above: tells L4 the ways in */

/*
 * Mode above: to user mode with the registers of guest_frame, by the guest kernel's own IRETQ, to the space that is
 * loaded; returns the exit reason, as VCPU_ENTER does here. x86_64_guest_events is where an event on the way out goes on.
 */
u64 x86_64_guest_leave(void);
u64 x86_64_guest_park(u64 endpoint, u64 tag); /* SEND, and then as if it had left; ALL_ONES if it returned */
extern const char x86_64_guest_syscall[], x86_64_guest_fault[], x86_64_guest_exit[], x86_64_guest_exit_end[],
	x86_64_guest_events[];
extern const u8 x86_64_guest_steps[], x86_64_guest_steps_end[]; /* offset of each instruction of the way out */
extern u64 x86_64_events;                                       /* taken there */

/*
 * Runs code at an address, with rdi and rax: 0, or 1 when it ended at x86_64_try_failed. rax is kept in
 * x86_64_try_result. The code x86_64_jump goes on at rdi, on the stack rax, until an event of the vCPU's timer.
 */
u64 x86_64_try_code(const void *code, u64 rdi, u64 rax);
int x86_64_leave_code(void); /* as upcall.resolve or upcall.event: ends the code */
extern const char x86_64_try_failed[], x86_64_jump[], x86_64_upcall_apart[];
extern u64 x86_64_try_result;

/* Does that give an emulator's turn to another CPU? */
#define ARCH_RELAX_YIELDS 1
static inline void arch_relax(void) { asm volatile("pause" : : : "memory"); }

/* Counts instructions under -icount. */
static inline u64 arch_cycles(void) { return l4_counter(); }

/* Registers by role. */
static inline u64 *frame_ip(struct l4_frame *f) { return &f->ip; }
static inline u64 *frame_sp(struct l4_frame *f) { return &f->sp; }
static inline u64 *frame_arg0(struct l4_frame *f) { return &f->di; }
static inline u64 *frame_arg1(struct l4_frame *f) { return &f->si; }
static inline u64 *frame_result(struct l4_frame *f) { return &f->ax; }

/* Makes registers that call entry(arg) with a stack that ends at top. */
static inline void arch_frame_call(struct l4_frame *f, void *entry, u64 arg, u64 top)
{
	l4_frame_init(f, (u64)entry, top - 8, arg, 0, 0);
}

/* Programs for guest user mode, position-independent; each ends or goes on with a system call. */
extern const char arch_user_load[], arch_user_load_end[];   /* result = *arg0 */
extern const char arch_user_store[], arch_user_store_end[]; /* *arg0 = arg1 */
extern const char arch_user_spin[], arch_user_spin_end[];   /* for ever */
extern const char arch_user_trap[], arch_user_trap_end[];   /* undefined instruction */
extern const char arch_user_count[], arch_user_count_end[]; /* *arg0 += 1, for ever */

/* Accesses that may fault in a guest kernel: 0, or 1 when the upcall went to arch_fixup. */
u64 arch_try_load(u64 vaddr, u64 *value);
u64 arch_try_store(u64 vaddr, u64 value);
u64 arch_try_trap(void);
extern const char arch_fixup[];

/* VCPU_ENTER as a function: returns the exit reason, or ENTER_FAILED + error if L4 returned. */
u64 arch_vcpu_enter(struct l4_vcpu_page *page, u64 space);
#define ENTER_FAILED 0x1000
void arch_upcall_entry(void);                                   /* calls guest_upcall() below the interrupted stack */
u64 arch_spin_until(volatile u64 *word, u64 value, u64 rounds); /* all registers checked; 0 if they changed */

/* Vector registers: fill them from a seed; count those that do not hold it. */
void arch_fpu_fill(u64 seed);
u64 arch_fpu_differ(u64 seed);
void arch_tls_set(u64 value);
u64 arch_tls_get(void);

u64 arch_syscall_keeps(u64 number, u64 cap, u64 tag, u64 reply); /* its error; ALL_ONES: a register changed */

#endif
