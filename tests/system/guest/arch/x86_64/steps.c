/* SPDX-License-Identifier: BSD-2-Clause */
/* Single steps, and steps by branches, of a program that uses the trap flag itself. */
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

/* Sets its own trap flag, runs instructions, clears it. */
void trap_self(void);
extern char before_popf[], after_popf[];
asm(".globl trap_self, before_popf, after_popf\n"
    "trap_self: pushq $0x302\n"
    "before_popf: popfq\n"
    "after_popf: nop\n"
    "nop\n"
    "nop\n"
    "pushq $0x202\n"
    "popfq\n"
    "ret\n");
enum { own_traps = 5 };

static volatile int traps;

static void on_trap(int number)
{
	(void)number;
	traps++;
}

static pid_t traced(void)
{
	pid_t child = fork();
	int got;

	if (!child) {
		signal(SIGTRAP, on_trap);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		asm volatile("sub $256, %%rsp; call trap_self; add $256, %%rsp" ::
		                     : "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "memory", "cc");
		_exit(traps);
	}
	CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got) && WSTOPSIG(got) == SIGSTOP);
	return child;
}

static struct user_regs_struct step(pid_t child, int request)
{
	struct user_regs_struct regs;
	int got;

	CHECK(ptrace(request, child, 0, 0) == 0);
	CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got) && WSTOPSIG(got) == SIGTRAP);
	CHECK(ptrace(PTRACE_GETREGS, child, 0, &regs) == 0);
	return regs;
}

static void to_popf(pid_t child, int request)
{
	int steps = 0;

	while (step(child, request).rip != (unsigned long)before_popf)
		CHECK(++steps < 5000);
}

/* A flag that popf sets is the program's: ptrace shows it, and it stays after PTRACE_DETACH. */
static void over_popf(int request)
{
	pid_t child = traced();
	struct user_regs_struct regs;
	int got;

	to_popf(child, request);
	regs = step(child, request);
	CHECK(regs.rip == (unsigned long)after_popf && (regs.eflags & 0x100));
	CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
	for (int stops = 0;; stops++) {
		CHECK(waitpid(child, &got, 0) == child);
		if (!WIFSTOPPED(got)) {
			CHECK(stops == own_traps);
			break;
		}
		CHECK(WSTOPSIG(got) == SIGTRAP && ptrace(PTRACE_CONT, child, 0, SIGTRAP) == 0);
	}
	CHECK(WIFEXITED(got) && WEXITSTATUS(got) == own_traps);
}

/* The debugger's flag is not shown, and is gone after PTRACE_DETACH. */
static void let_go(void)
{
	pid_t child = traced();
	int got;

	for (int i = 0; i < 3; i++)
		CHECK(!(step(child, PTRACE_SINGLESTEP).eflags & 0x100));
	CHECK(ptrace(PTRACE_DETACH, child, 0, 0) == 0);
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got));
	CHECK(WEXITSTATUS(got) == own_traps || WEXITSTATUS(got) == own_traps + 1);
}

int main(void)
{
	over_popf(PTRACE_SINGLESTEP);
	over_popf(PTRACE_SINGLEBLOCK);
	let_go();
	puts("ok");
	return 0;
}
