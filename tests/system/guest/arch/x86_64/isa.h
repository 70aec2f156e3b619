/* SPDX-License-Identifier: BSD-2-Clause */
/* What the guest test programs must know of x86_64. Every architecture has the same names. */
#ifndef ISA_H
#define ISA_H
#include <cpuid.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

enum { isa_single_steps = 1, isa_illegal_code = ILL_ILLOPN };

/* May a page of PROT_EXEC alone be read; which bits of a pointer the CPU ignores; the code of a function that returns. */
enum { isa_code_is_readable = 1 };
static const unsigned long isa_ignored_bits = 0;
static const unsigned char isa_return[] = { 0xc3 };

#define ISA_ILLEGAL    "ud2"
#define ISA_PRIVILEGED "cli"

/* X(name, the signal that it is, instructions): what user mode must not do. Without wbinvd: QEMU 10 ignores it in user
 * mode instead of raising #GP. */
#define ISA_REFUSED(X)                                                                           \
	X("cli", SIGSEGV, "cli")                                                                 \
	X("sti", SIGSEGV, "sti")                                                                 \
	X("hlt", SIGSEGV, "hlt")                                                                 \
	X("reading cr3", SIGSEGV, "mov %%cr3, %%rax")                                            \
	X("writing cr3", SIGSEGV, "xor %%eax, %%eax; mov %%rax, %%cr3")                          \
	X("writing cr4", SIGSEGV, "xor %%eax, %%eax; mov %%rax, %%cr4")                          \
	X("wrmsr", SIGSEGV, "mov $0xc0000082, %%ecx; xor %%eax, %%eax; xor %%edx, %%edx; wrmsr") \
	X("rdmsr", SIGSEGV, "mov $0xc0000082, %%ecx; rdmsr")                                     \
	X("in", SIGSEGV, "inb $0x64, %%al")                                                      \
	X("out", SIGSEGV, "mov $0xfe, %%al; outb %%al, $0x64")                                   \
	X("invlpg", SIGSEGV, "invlpg (%%rsp)")                                                   \
	X("swapgs", SIGSEGV, "swapgs")                                                           \
	X("sysret", SIGSEGV, "sysretq")                                                          \
	X("lgdt", SIGSEGV, "lgdt (%%rsp)")                                                       \
	X("an undefined instruction", SIGILL, "ud2")                                             \
	X("a breakpoint", SIGTRAP, "int3")                                                       \
	X("an unused interrupt", SIGSEGV, "int $0x42")                                           \
	X("a division by zero", SIGFPE, "xor %%ecx, %%ecx; div %%ecx")                           \
	X("a 32-bit code segment", SIGSEGV,                                                      \
	  "sub $16, %%rsp; movl $0x1000, (%%rsp); movw $0x23, 4(%%rsp); ljmpl *(%%rsp)")

#define ISA_CLOBBERS "rax", "rcx", "rdx", "memory"

/* The guest kernel's pages and linear map, the edge of user space, where native kernels live. */
static const unsigned long isa_addresses[] = {
	0x10000000,
	0x10001000,
	0x40100000,
	0x40110000,
	0x40200000,
	0x40300000,
	0x7ffffffff000,
	0x800000000000,
	0xffff800000000000,
	0xffffffff80000000,
	0xffffffff80100000,
	0xfffffffffffff000,
	0xfee00000 + (0xffffffUL << 40),
};

/* Floating-point and vector registers: loaded from in, held until *counter has come to until, stored to out. */
enum { isa_fp_size = 16 * 16 };

static inline void isa_hold(const void *in, void *out, volatile int *counter, int until)
{
	asm volatile(".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	             "movdqu \\n * 16(%0), %%xmm\\n\n"
	             ".endr\n"
	             "1: cmp %3, (%2)\n"
	             "jl 1b\n"
	             ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n"
	             "movdqu %%xmm\\n, \\n * 16(%1)\n"
	             ".endr\n" ::"r"(in),
	             "r"(out), "r"(counter), "r"(until)
	             : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11",
	               "xmm12", "xmm13", "xmm14", "xmm15", "memory");
}

/* A signal frame's registers. */
static inline void isa_skip_illegal(ucontext_t *context) { context->uc_mcontext.gregs[REG_RIP] += 2; }

static inline unsigned long isa_context_pc(const ucontext_t *context) { return context->uc_mcontext.gregs[REG_RIP]; }

static inline void isa_set_context_pc(ucontext_t *context, unsigned long pc)
{
	context->uc_mcontext.gregs[REG_RIP] = pc;
}

static inline unsigned long *isa_context_fp(ucontext_t *context)
{
	return (unsigned long *)context->uc_mcontext.fpregs->_xmm;
}

/* Ask for privilege by a signal frame: the kernel's code segment, and the right to use ports. */
static inline void isa_ask_privilege(ucontext_t *context)
{
	unsigned short *segments = (unsigned short *)&context->uc_mcontext.gregs[REG_CSGSFS];

	segments[0] = 0x10;
	context->uc_mcontext.gregs[REG_EFL] |= 0x3000;
}

/* ptrace's registers. */
typedef struct user_regs_struct isa_regs;
typedef struct user_fpregs_struct isa_fpregs;

static inline unsigned long *isa_result(isa_regs *regs) { return (unsigned long *)&regs->rax; }

static inline unsigned long *isa_pc(isa_regs *regs) { return (unsigned long *)&regs->rip; }

static inline void isa_set_call(pid_t child, isa_regs *regs, long number)
{
	(void)child;
	regs->orig_rax = number;
}

static inline void isa_take_privilege(isa_regs *regs) { regs->cs = 0x10; }

static inline void *isa_fp(isa_fpregs *regs) { return regs->xmm_space; }

/*
 * QEMU before 9 reads the stack of a user's iretq with the supervisor's rights: where SMAP is on, that faults for
 * ever, and no kernel can help. So it is enough that the program can be stopped.
 */
static inline void isa_peculiarities(void)
{
	pid_t child = fork();
	int got;

	if (!child) {
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL);
		asm volatile("push $0; push $0; push $0x202; push $8; push $0; iretq");
		_exit(0);
	}
	usleep(300000);
	kill(child, SIGKILL);
	CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got));
}
#endif
