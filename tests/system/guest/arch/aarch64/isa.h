/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest test programs must know of aarch64. Every architecture has the same names. */
#ifndef ISA_H
#define ISA_H
#include <asm/ptrace.h>
#include <asm/sigcontext.h>
#include <elf.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

enum { isa_single_steps = 1, isa_illegal_code = ILL_ILLOPC };

/* May a page of PROT_EXEC alone be read; which bits of a pointer the CPU ignores; the code of a function that returns. */
enum { isa_code_is_readable = 1 };
static const unsigned long isa_ignored_bits = 0xffUL << 56;
static const unsigned char isa_return[] = { 0xc0, 0x03, 0x5f, 0xd6 };

#define ISA_ILLEGAL    "udf #0"
#define ISA_PRIVILEGED "msr daifset, #2"

/* X(name, the signal that it is, instructions): what user mode must not do. */
#define ISA_REFUSED(X)                                           \
	X("masking interrupts", SIGILL, "msr daifset, #2")       \
	X("enabling interrupts", SIGILL, "msr daifclr, #2")      \
	X("reading ttbr0_el1", SIGILL, "mrs x0, ttbr0_el1")      \
	X("writing ttbr0_el1", SIGILL, "msr ttbr0_el1, xzr")     \
	X("writing sctlr_el1", SIGILL, "msr sctlr_el1, xzr")     \
	X("writing vbar_el1", SIGILL, "msr vbar_el1, xzr")       \
	X("writing elr_el1", SIGILL, "msr elr_el1, xzr")         \
	X("reading esr_el1", SIGILL, "mrs x0, esr_el1")          \
	X("writing tpidrro_el0", SIGILL, "msr tpidrro_el0, xzr") \
	X("writing spsel", SIGILL, "msr spsel, #1")              \
	X("stopping the timer", SIGILL, "msr cntp_ctl_el0, xzr") \
	X("setting the timer", SIGILL, "msr cntv_tval_el0, xzr") \
	X("writing cntkctl_el1", SIGILL, "msr cntkctl_el1, xzr") \
	X("tlbi", SIGILL, "tlbi vmalle1")                        \
	X("dc isw", SIGILL, "dc isw, xzr")                       \
	X("ic iallu", SIGILL, "ic iallu")                        \
	X("at", SIGILL, "at s1e1r, xzr")                         \
	X("hvc", SIGILL, "hvc #0")                               \
	X("smc", SIGILL, "smc #0")                               \
	X("eret", SIGILL, "eret")                                \
	X("hlt", SIGILL, "hlt #1")                               \
	X("an undefined instruction", SIGILL, "udf #0")          \
	X("a breakpoint", SIGTRAP, "brk #0")                     \
	X("a misaligned jump", SIGBUS, "adr x0, . + 2; br x0")   \
	X("a misaligned exclusive", SIGBUS, "add x0, sp, #1; ldxr x1, [x0]")

#define ISA_CLOBBERS "x0", "x1", "memory"

/* The guest kernel's pages and linear map, the edge of user space, where native kernels live. */
static const unsigned long isa_addresses[] = {
	0x10000000,         0x10001000,         0x40100000,         0x40110000,         0x40200000,
	0x40300000,         0x1000000000000,    0x80000000000000,   0xffff000000000000, 0xffff800000000000,
	0xffff800080000000, 0xffffffff80000000, 0xfffffffffffff000,
};

/* Floating-point and vector registers: loaded from in, held until *counter has come to until, stored to out. */
enum { isa_fp_size = 32 * 16 };

static inline void isa_hold(const void *in, void *out, volatile int *counter, int until)
{
	asm volatile(
		".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, "
		"26, 27, 28, 29, 30, 31\n"
		"ldr q\\n, [%0, #\\n * 16]\n"
		".endr\n"
		"1: ldr w9, [%2]\n"
		"cmp w9, %w3\n"
		"b.lt 1b\n"
		".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, "
		"26, 27, 28, 29, 30, 31\n"
		"str q\\n, [%1, #\\n * 16]\n"
		".endr\n" ::"r"(in),
		"r"(out), "r"(counter), "r"(until)
		: "x9", "cc", "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12", "v13",
		  "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23", "v24", "v25", "v26", "v27",
		  "v28", "v29", "v30", "v31", "memory");
}

/* A signal frame's registers. */
static inline void isa_skip_illegal(ucontext_t *context) { context->uc_mcontext.pc += 4; }

static inline unsigned long isa_context_pc(const ucontext_t *context) { return context->uc_mcontext.pc; }

static inline void isa_set_context_pc(ucontext_t *context, unsigned long pc) { context->uc_mcontext.pc = pc; }

static inline unsigned long *isa_context_fp(ucontext_t *context)
{
	unsigned char *record = context->uc_mcontext.__reserved;

	for (;;) {
		struct _aarch64_ctx head;

		memcpy(&head, record, sizeof(head));
		CHECK(head.magic);
		if (head.magic == FPSIMD_MAGIC)
			return (unsigned long *)((struct fpsimd_context *)record)->vregs;
		record += head.size;
	}
}

/* Ask for privilege by a signal frame: EL1 with its own stack. */
static inline void isa_ask_privilege(ucontext_t *context) { context->uc_mcontext.pstate |= 5; }

/* ptrace's registers. */
typedef struct user_regs_struct isa_regs;
typedef struct user_fpsimd_struct isa_fpregs;

static inline unsigned long *isa_result(isa_regs *regs) { return (unsigned long *)&regs->regs[0]; }

static inline unsigned long *isa_pc(isa_regs *regs) { return (unsigned long *)&regs->pc; }

static inline void isa_set_call(pid_t child, isa_regs *regs, long number)
{
	int call = number;
	struct iovec vector = { &call, sizeof(call) };

	(void)regs;
	CHECK(ptrace(PTRACE_SETREGSET, child, NT_ARM_SYSTEM_CALL, &vector) == 0);
}

static inline void isa_take_privilege(isa_regs *regs) { regs->pstate |= 5; }

static inline void *isa_fp(isa_fpregs *regs) { return regs->vregs; }

/* User mode may read the counter and clean caches, and loads ignore the top byte of an address. */
static inline void isa_peculiarities(void)
{
	static volatile long word = 0x1234;
	unsigned long first, second, type;

	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(first));
	usleep(1000);
	asm volatile("isb; mrs %0, cntvct_el0" : "=r"(second));
	CHECK(second > first);
	asm volatile("mrs %0, ctr_el0" : "=r"(type));
	CHECK(type);
	asm volatile("dc cvau, %0; dc cvac, %0; dc civac, %0; ic ivau, %0; dsb ish; isb; wfe; yield" ::"r"(&word)
	             : "memory");
	CHECK(*(volatile long *)((unsigned long)&word | 0x5aUL << 56) == 0x1234);
}
#endif
