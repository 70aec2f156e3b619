/* SPDX-License-Identifier: BSD-2-Clause */
/* Bases of fs and gs above user space are refused on every way to them, as native Linux refuses them. */
#include <asm/prctl.h>
#include <elf.h>
#include <sched.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#ifndef PTRACE_ARCH_PRCTL
#define PTRACE_ARCH_PRCTL 30
#endif

static const unsigned long refused[] = {
	0x7ffffffff000, 0x800000000000, 1UL << 63, 0x7fffffffffff0000, 0xffff800000000000, 0xffffffff81000000, ~0UL,
};
enum { refused_count = sizeof(refused) / sizeof(refused[0]) };

static char stack[1 << 14] __attribute__((aligned(16)));

/* The child has no TLS, so it ends at once, by itself. */
static long clone_with(unsigned long tls, unsigned long flags)
{
	register long r10 asm("r10") = 0, r8 asm("r8") = (long)tls;
	long pid;

	asm volatile("syscall\n"
	             "test %%rax, %%rax\n"
	             "jnz 1f\n"
	             "mov %[exit], %%eax\n"
	             "xor %%edi, %%edi\n"
	             "syscall\n"
	             "1:"
	             : "=a"(pid)
	             : "a"(SYS_clone), "D"(flags), "S"(stack + sizeof(stack)), "d"(0), "r"(r10),
	               "r"(r8), [exit] "i"(SYS_exit)
	             : "rcx", "r11", "memory");
	return pid;
}

static void by_clone(void)
{
	const unsigned long process = CLONE_VM | SIGCHLD;
	int got;

	for (int i = 0; i < refused_count; i++) {
		CHECK(clone_with(refused[i], process | CLONE_SETTLS) == -EPERM);
		CHECK(clone_with(refused[i], CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
		                                     CLONE_SYSVSEM | CLONE_SETTLS) == -EPERM);
	}
	/* Without the flag the value means nothing. */
	CHECK(clone_with(1UL << 63, process) > 0 && wait(&got) > 0 && got == 0);
	CHECK(clone_with((unsigned long)stack, process | CLONE_SETTLS) > 0 && wait(&got) > 0 && got == 0);
	CHECK(clone_with(0x7fffffffefff, process | CLONE_SETTLS) > 0 && wait(&got) > 0 && got == 0);
}

static void by_prctl(void)
{
	unsigned long before, after;

	CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &before) == 0);
	for (int i = 0; i < refused_count; i++) {
		CHECK(syscall(SYS_arch_prctl, ARCH_SET_FS, refused[i]) == -1 && errno == EPERM);
		CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, refused[i]) == -1 && errno == EPERM);
	}
	CHECK(syscall(SYS_arch_prctl, ARCH_GET_FS, &after) == 0 && after == before);
	CHECK(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1234) == 0);
	CHECK(syscall(SYS_arch_prctl, ARCH_GET_GS, &after) == 0 && after == 0x1234);
}

static void by_debugger(void)
{
	struct user_regs_struct regs, changed;
	struct iovec vector = { &changed, sizeof(changed) };
	pid_t child = fork();
	int got;

	if (!child) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(syscall(SYS_getppid) == 0);
	}
	CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got));
	CHECK(ptrace(PTRACE_GETREGS, child, 0, &regs) == 0);
	for (int i = 0; i < refused_count; i++) {
		for (int fs = 0; fs < 2; fs++) {
			size_t at = fs ? offsetof(struct user_regs_struct, fs_base)
			               : offsetof(struct user_regs_struct, gs_base);

			CHECK(ptrace(PTRACE_POKEUSER, child, at, refused[i]) == -1 && errno == EIO);
			changed = regs;
			*(unsigned long *)((char *)&changed + at) = refused[i];
			CHECK(ptrace(PTRACE_SETREGS, child, 0, &changed) == -1 && errno == EIO);
			CHECK(ptrace(PTRACE_SETREGSET, child, NT_PRSTATUS, &vector) == -1 && errno == EIO);
			CHECK(ptrace(PTRACE_ARCH_PRCTL, child, refused[i], fs ? ARCH_SET_FS : ARCH_SET_GS) == -1 &&
			      errno == EPERM);
		}
	}
	CHECK(ptrace(PTRACE_GETREGS, child, 0, &changed) == 0);
	CHECK(changed.fs_base == regs.fs_base && changed.gs_base == regs.gs_base);
	CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
	CHECK(waitpid(child, &got, 0) == child && got == 0);
}

int main(void)
{
	by_clone();
	by_prctl();
	by_debugger();
	puts("ok");
	return 0;
}
