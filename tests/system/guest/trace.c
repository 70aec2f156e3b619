/* SPDX-License-Identifier: BSD-2-Clause */
/* ptrace: stops at system calls and signals, memory, registers, single steps, changed calls. */
#include <elf.h>
#include <signal.h>
#include <stddef.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "isa.h"

static volatile long word = 0x1234;

static void child_main(void)
{
	for (int i = 0; i < 10; i++)
		syscall(SYS_getppid);
	raise(SIGUSR1);
	_exit(word == 0x5678 ? 9 : 8);
}

static int wait_for(pid_t child, int stop)
{
	int got;

	CHECK(waitpid(child, &got, 0) == child);
	CHECK(WIFSTOPPED(got) && WSTOPSIG(got) == stop);
	return got;
}

static void get(pid_t child, int set, void *regs, size_t size)
{
	struct iovec vector = { regs, size };

	CHECK(ptrace(PTRACE_GETREGSET, child, set, &vector) == 0 && vector.iov_len == size);
}

static int put(pid_t child, int set, void *regs, size_t size)
{
	struct iovec vector = { regs, size };

	return ptrace(PTRACE_SETREGSET, child, set, &vector);
}

static pid_t traced(void (*run)(void))
{
	pid_t child = fork();

	if (!child) {
		CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == 0);
		raise(SIGSTOP);
		run();
		_exit(0);
	}
	wait_for(child, SIGSTOP);
	CHECK(ptrace(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL) == 0);
	return child;
}

static void stops(void)
{
	int got, calls = 0, signals = 0;
	pid_t child = traced(child_main);
	isa_regs before, after;

	CHECK(ptrace(PTRACE_PEEKDATA, child, &word, 0) == 0x1234);
	CHECK(ptrace(PTRACE_POKEDATA, child, &word, 0x5678) == 0);
	get(child, NT_PRSTATUS, &before, sizeof(before));
	CHECK(put(child, NT_PRSTATUS, &before, sizeof(before)) == 0);
	for (int steps = 0; isa_single_steps && steps < 50; steps++) {
		CHECK(ptrace(PTRACE_SINGLESTEP, child, 0, 0) == 0);
		wait_for(child, SIGTRAP);
		get(child, NT_PRSTATUS, &after, sizeof(after));
		CHECK(memcmp(&before, &after, sizeof(before)) != 0);
		before = after;
	}
	for (int deliver = 0;;) {
		CHECK(ptrace(PTRACE_SYSCALL, child, 0, deliver) == 0);
		CHECK(waitpid(child, &got, 0) == child);
		if (!WIFSTOPPED(got))
			break;
		deliver = 0;
		if (WSTOPSIG(got) == (SIGTRAP | 0x80))
			calls++;
		else if (WSTOPSIG(got) == SIGUSR1)
			signals++; /* swallowed: it would kill the child */
		else
			deliver = WSTOPSIG(got);
	}
	CHECK(WIFEXITED(got) && WEXITSTATUS(got) == 9);
	CHECK(calls >= 20 && signals == 1);
}

static void ask(void)
{
	CHECK(syscall(SYS_getppid) == 4711);
	CHECK(syscall(SYS_getppid) == getpid());
}

/* Changes the result of one system call, and the number of another. */
static void changed_calls(void)
{
	pid_t child = traced(ask);
	isa_regs regs;
	int got;

	for (int stop = 0; stop < 4; stop++) {
		CHECK(ptrace(PTRACE_SYSCALL, child, 0, 0) == 0);
		wait_for(child, SIGTRAP | 0x80);
		get(child, NT_PRSTATUS, &regs, sizeof(regs));
		if (stop == 1)
			*isa_result(&regs) = 4711;
		if (stop == 2)
			isa_set_call(child, &regs, SYS_getpid);
		CHECK(put(child, NT_PRSTATUS, &regs, sizeof(regs)) == 0);
	}
	CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got) && WEXITSTATUS(got) == 0);
}

static volatile int go_on;

static void hold(void)
{
	unsigned char in[isa_fp_size], out[isa_fp_size];
	unsigned long number;

	memset(in, 0x40, isa_fp_size);
	isa_hold(in, out, &go_on, 1);
	memcpy(&number, out, 8);
	CHECK(number == 0x4010000000000000);
	CHECK(!memcmp(in + 8, out + 8, isa_fp_size - 8));
}

static void floating_point(void)
{
	enum { tries_max = 100 };
	pid_t child = traced(hold);
	isa_fpregs regs;
	unsigned char loaded[isa_fp_size];
	unsigned long number = 0x4010000000000000;
	int got, tries = 0;

	memset(loaded, 0x40, isa_fp_size);
	/* On a busy host it may take the child a while to load them. */
	do {
		CHECK(tries++ < tries_max);
		CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
		usleep(100000);
		kill(child, SIGSTOP);
		wait_for(child, SIGSTOP);
		get(child, NT_PRFPREG, &regs, sizeof(regs));
	} while (memcmp(isa_fp(&regs), loaded, isa_fp_size));
	memcpy(isa_fp(&regs), &number, 8);
	CHECK(put(child, NT_PRFPREG, &regs, sizeof(regs)) == 0);
	CHECK(ptrace(PTRACE_POKEDATA, child, &go_on, 1) == 0);
	CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got) && WEXITSTATUS(got) == 0);
}

/* Registers that ask for privilege are refused, or end the child; so is a pc in the kernel. */
static void privilege(void)
{
	for (int i = 0; i < 2; i++) {
		pid_t child = traced(child_main);
		isa_regs regs;
		int got;

		get(child, NT_PRSTATUS, &regs, sizeof(regs));
		if (i)
			*isa_pc(&regs) = 0xffffffff80000000;
		else
			isa_take_privilege(&regs);
		if (put(child, NT_PRSTATUS, &regs, sizeof(regs))) {
			CHECK(!i && (errno == EINVAL || errno == EIO));
			kill(child, SIGKILL);
			CHECK(waitpid(child, &got, 0) == child);
			continue;
		}
		CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
		wait_for(child, SIGSEGV);
		CHECK(ptrace(PTRACE_CONT, child, 0, SIGSEGV) == 0);
		CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got) && WTERMSIG(got) == SIGSEGV);
	}
}

int main(void)
{
	stops();
	changed_calls();
	floating_point();
	privilege();
	puts("ok");
	return 0;
}
