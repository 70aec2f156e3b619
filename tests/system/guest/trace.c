/* SPDX-License-Identifier: BSD-2-Clause */
/* ptrace: stops at system calls and signals, memory, registers, single steps. */
#include <elf.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static volatile long word = 0x1234;

static void child_main(void)
{
	CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
	raise(SIGSTOP);
	for (int i = 0; i < 10; i++)
		syscall(SYS_getppid);
	raise(SIGUSR1);
	_exit(word == 0x5678 ? 9 : 8);
}

int main(void)
{
	int got, calls = 0, signals = 0, steps = 0;
	pid_t child = fork();

	if (!child)
		child_main();
	CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got) && WSTOPSIG(got) == SIGSTOP);
	CHECK(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
	CHECK(ptrace(PTRACE_PEEKDATA, child, &word, 0) == 0x1234);
	CHECK(ptrace(PTRACE_POKEDATA, child, &word, 0x5678) == 0);
	struct user_regs_struct before, after;
	struct iovec vector = { &before, sizeof(before) };

	CHECK(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &vector) == 0 && vector.iov_len == sizeof(before));
	CHECK(ptrace(PTRACE_SETREGSET, child, NT_PRSTATUS, &vector) == 0);
	for (; steps < 50; steps++) {
		CHECK(ptrace(PTRACE_SINGLESTEP, child, 0, 0) == 0);
		CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got) && WSTOPSIG(got) == SIGTRAP);
	}
	vector.iov_base = &after;
	CHECK(ptrace(PTRACE_GETREGSET, child, NT_PRSTATUS, &vector) == 0);
	CHECK(memcmp(&before, &after, sizeof(before)) != 0);
	for (int deliver = 0;;) {
		CHECK(ptrace(PTRACE_SYSCALL, child, 0, deliver) == 0);
		CHECK(waitpid(child, &got, 0) == child);
		if (!WIFSTOPPED(got))
			break;
		deliver = 0;
		if (WSTOPSIG(got) == (SIGTRAP | 0x80))
			calls++;
		else if (WSTOPSIG(got) == SIGUSR1)
			signals++;	/* swallowed: it would kill the child */
		else
			deliver = WSTOPSIG(got);
	}
	CHECK(WIFEXITED(got) && WEXITSTATUS(got) == 9);
	CHECK(calls >= 20 && signals == 1);
	puts("ok");
	return 0;
}
