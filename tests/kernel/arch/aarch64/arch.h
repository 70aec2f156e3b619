/* SPDX-License-Identifier: GPL-2.0-only */
/* What the tests need to know of aarch64; every architecture's arch.h defines the same names. */
#ifndef ARCH_H
#define ARCH_H

#include <l4/types.h>
#include <l4/arch.h>

#define ARCH_FREE_LINE 232 /* an interrupt line without a device */
/* Line of the serial line's transmitter: a level or edges; its registers, or ports; where its interrupt is enabled. */
#define ARCH_LINE          33
#define ARCH_LINE_LEVEL    1
#define ARCH_LINE_PADDR    0x09000000UL
#define ARCH_LINE_AT       0x38
#define ARCH_LINE_WIDTH    4
#define ARCH_LINE_ON       0x20
#define ARCH_TRAP_VECTOR   0 /* what arch_user_trap raises */
#define ARCH_FPU_REGISTERS 32
/* A register that keeps what is written: PL011's IBRD, 16 bits, by accesses of any width. */
#define ARCH_REGISTER_PADDR  0x09000024UL
#define ARCH_REGISTER_WIDTHS (1 | 2 | 4)
#define ARCH_REGISTER_MASK   0xffffUL
#define ARCH_NOBODY_PADDR    0x09800000UL /* no device is there */
#define ARCH_NOBODY_ERROR    L4_ERR_RANGE

/* A guest kernel has the addresses of user mode, and no way of its own between the two. */
#define ARCH_GUEST_BASE 0
#define ARCH_GUEST_RAM  L4_GUEST_RAM_VADDR
#define ARCH_GUEST_OWN  0x3f00000000UL
static inline void arch_guest_start(void) {}

/* Does that give an emulator's turn to another CPU? */
#define ARCH_RELAX_YIELDS 1
static inline void arch_relax(void) { asm volatile("yield" : : : "memory"); }

/* Counts instructions under -icount. */
static inline u64 arch_cycles(void)
{
	u64 value;

	asm volatile("mrs %0, pmccntr_el0" : "=r"(value) : : "memory");
	return value;
}

/* Registers by role. */
static inline u64 *frame_ip(struct l4_frame *f) { return &f->pc; }
static inline u64 *frame_sp(struct l4_frame *f) { return &f->sp; }
static inline u64 *frame_arg0(struct l4_frame *f) { return &f->x0; }
static inline u64 *frame_arg1(struct l4_frame *f) { return &f->x1; }
static inline u64 *frame_result(struct l4_frame *f) { return &f->x2; }

/* Makes registers that call entry(arg) with a stack that ends at top. */
static inline void arch_frame_call(struct l4_frame *f, void *entry, u64 arg, u64 top)
{
	l4_frame_init(f, (u64)entry, top & -16UL, arg, 0, 0);
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

/* For the tests of this architecture: as arch_vcpu_enter, with x0-x30 as they are then. */
void aarch64_vcpu_enter_registers(struct l4_vcpu_page *page, u64 space, u64 registers[31]);
/* Both halves of the vector registers, and FPCR. */
void aarch64_vectors_fill(u64 seed, u64 fpcr);
u64 aarch64_vectors_differ(u64 seed, u64 fpcr);

u64 arch_syscall_keeps(u64 number, u64 cap, u64 tag, u64 reply); /* its error; ALL_ONES: a register changed */

#endif
