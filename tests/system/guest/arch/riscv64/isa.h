/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest test programs must know of riscv64. Every architecture has the same names. */
#ifndef ISA_H
#define ISA_H
#include <asm/ptrace.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

/* Linux has no single step where the CPU has none. */
enum { isa_single_steps = 0, isa_illegal_code = ILL_ILLOPC };

/* May a page of PROT_EXEC alone be read; which bits of a pointer the CPU ignores; the code of a function that returns. */
enum { isa_code_is_readable = 0 };
static const unsigned long isa_ignored_bits = 0;
static const unsigned char isa_return[] = { 0x82, 0x80 };

#define ISA_ILLEGAL    ".word 0"
#define ISA_PRIVILEGED "csrr t0, satp"

/* X(name, the signal that it is, instructions): what user mode must not do. */
#define ISA_REFUSED(X)                                                \
	X("reading satp", SIGILL, "csrr t0, satp")                    \
	X("writing satp", SIGILL, "csrw satp, zero")                  \
	X("reading sstatus", SIGILL, "csrr t0, sstatus")              \
	X("writing stvec", SIGILL, "csrw stvec, zero")                \
	X("writing sepc", SIGILL, "csrw sepc, zero")                  \
	X("enabling interrupts", SIGILL, "csrsi sstatus, 2")          \
	X("writing scounteren", SIGILL, "csrw scounteren, zero")      \
	X("writing the time", SIGILL, "csrw time, zero")              \
	X("reading mstatus", SIGILL, "csrr t0, mstatus")              \
	X("writing mtvec", SIGILL, "csrw mtvec, zero")                \
	X("sret", SIGILL, "sret")                                     \
	X("mret", SIGILL, "mret")                                     \
	X("sfence.vma", SIGILL, "sfence.vma")                         \
	X("wfi", SIGILL, "wfi")                                       \
	X("an undefined instruction", SIGILL, ".word 0")              \
	X("a breakpoint", SIGTRAP, "ebreak")                          \
	X("a misaligned lr", SIGBUS, "addi t0, sp, 1; lr.d t1, (t0)") \
	X("a misaligned amo", SIGBUS, "addi t0, sp, -63; amoadd.d t1, zero, (t0)")

#define ISA_CLOBBERS "t0", "t1", "memory"

/* The guest kernel's pages and linear map, the edges of user space (Sv39, Sv48), where native kernels live. */
static const unsigned long isa_addresses[] = {
	0x10000000,         0x10001000,         0x40100000,         0x40110000,         0x40200000,
	0x40300000,         0x800000000000,     0x1000000000000,    0x8000000000000000, 0xffff800000000000,
	0xffffffc000000000, 0xffffffd600000000, 0xffffffff80000000, 0xfffffffffffff000,
};

/* Floating-point registers: loaded from in, held until *counter has come to until, stored to out. */
enum { isa_fp_size = 32 * 8 };

static inline void isa_hold(const void *in, void *out, volatile int *counter, int until)
{
	asm volatile(
		".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, "
		"26, 27, 28, 29, 30, 31\n"
		"fld f\\n, \\n * 8(%0)\n"
		".endr\n"
		"1: lw t0, (%2)\n"
		"blt t0, %3, 1b\n"
		".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, "
		"26, 27, 28, 29, 30, 31\n"
		"fsd f\\n, \\n * 8(%1)\n"
		".endr\n" ::"r"(in),
		"r"(out), "r"(counter), "r"(until)
		: "t0", "ft0", "ft1", "ft2", "ft3", "ft4", "ft5", "ft6", "ft7", "ft8", "ft9", "ft10", "ft11", "fs0",
		  "fs1", "fs2", "fs3", "fs4", "fs5", "fs6", "fs7", "fs8", "fs9", "fs10", "fs11", "fa0", "fa1", "fa2",
		  "fa3", "fa4", "fa5", "fa6", "fa7", "memory");
}

/* A signal frame's registers: __gregs[0] is the pc. */
static inline void isa_skip_illegal(ucontext_t *context) { context->uc_mcontext.__gregs[REG_PC] += 4; }

static inline unsigned long isa_context_pc(const ucontext_t *context) { return context->uc_mcontext.__gregs[REG_PC]; }

static inline void isa_set_context_pc(ucontext_t *context, unsigned long pc)
{
	context->uc_mcontext.__gregs[REG_PC] = pc;
}

static inline unsigned long *isa_context_fp(ucontext_t *context)
{
	return (unsigned long *)context->uc_mcontext.__fpregs.__d.__f;
}

/* A frame has no status register to ask for privilege by; a kernel's stack is the nearest to it. */
static inline void isa_ask_privilege(ucontext_t *context)
{
	context->uc_mcontext.__gregs[REG_PC] = 0xffffffff80000000;
	context->uc_mcontext.__gregs[REG_SP] = 0xffffffd600000000;
}

/* ptrace's registers. */
typedef struct user_regs_struct isa_regs;
typedef struct __riscv_d_ext_state isa_fpregs;

static inline unsigned long *isa_result(isa_regs *regs) { return &regs->a0; }

static inline unsigned long *isa_pc(isa_regs *regs) { return &regs->pc; }

static inline void isa_set_call(pid_t child, isa_regs *regs, long number)
{
	(void)child;
	regs->a7 = number;
}

static inline void isa_take_privilege(isa_regs *regs) { regs->pc = 0xffffffff80000000; }

static inline void *isa_fp(isa_fpregs *regs) { return regs->f; }

/* User mode may read the time, and it goes on. */
static inline void isa_peculiarities(void)
{
	unsigned long first, second;

	asm volatile("rdtime %0" : "=r"(first));
	usleep(1000);
	asm volatile("rdtime %0" : "=r"(second));
	CHECK(second > first);
}
#endif
