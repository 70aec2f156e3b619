/* SPDX-License-Identifier: BSD-2-Clause */
/* The selectors of ds, es, fs and gs are each task's own, and a debugger sees and changes them. */
#include <asm/prctl.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdbool.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { flat = 0x2b };

#define GET(name)                                                   \
	({                                                          \
		unsigned int value_;                                \
		asm volatile("mov %%" #name ", %0" : "=r"(value_)); \
		value_;                                             \
	})
#define SET(name, value) asm volatile("mov %0, %%" #name : : "r"(value))

static volatile int ticks;

static void on_tick(int number)
{
	(void)number;
	ticks++;
}

static unsigned long gs_base(void)
{
	unsigned long base;

	asm volatile("rdgsbase %0" : "=r"(base));
	return base;
}

/* A program starts with null selectors, whatever the one that started it had. */
static void at_the_start(void) { CHECK(GET(ds) == 0 && GET(es) == 0 && GET(fs) == 0 && GET(gs) == 0); }

static void hold(bool set, int reader)
{
	unsigned int value = set ? flat : 0;
	unsigned long base = set ? 0x1234000 : 0x5678000;
	struct itimerval timer = { { 0, 5000 }, { 0, 5000 } };
	char byte;

	SET(ds, value);
	SET(es, value);
	SET(gs, value);
	asm volatile("wrgsbase %0" : : "r"(base));
	signal(SIGALRM, on_tick);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	if (reader >= 0)
		CHECK(read(reader, &byte, 1) == 1);
	/* Other tasks, drivers and signal handlers run in between. */
	while (ticks < 20) {
		CHECK(GET(ds) == value && GET(es) == value && GET(gs) == value && gs_base() == base);
		if (ticks % 2)
			sched_yield();
	}
	for (int i = 0; i < 100; i++) {
		sched_yield();
		CHECK(GET(ds) == value && GET(es) == value && GET(gs) == value && gs_base() == base);
	}
	sync();
	CHECK(GET(ds) == value && GET(es) == value && GET(gs) == value && gs_base() == base);
	SET(ds, 0);
	SET(es, 0);
	SET(gs, 0);
}

static void of_each_task(void)
{
	int pipes[2], got;
	pid_t child;

	CHECK(pipe(pipes) == 0);
	child = fork();
	if (!child) {
		hold(true, pipes[0]);
		_exit(0);
	}
	CHECK(write(pipes[1], "x", 1) == 1);
	hold(false, -1);
	CHECK(waitpid(child, &got, 0) == child && got == 0);
}

/* A child has its parent's selectors; arch_prctl() clears those of the base that it sets. */
static void inherited(void)
{
	int got;
	pid_t child;

	SET(es, flat);
	SET(gs, flat);
	child = fork();
	if (!child) {
		if (GET(es) != flat || GET(gs) != flat || GET(ds) != 0)
			_exit(1);
		syscall(SYS_arch_prctl, ARCH_SET_GS, 0x1000);
		_exit(GET(gs) == 0 && gs_base() == 0x1000 ? 0 : 2);
	}
	CHECK(waitpid(child, &got, 0) == child && got == 0);
	child = fork();
	if (!child) {
		execl("/proc/self/exe", "selectors", "start", NULL);
		_exit(1);
	}
	CHECK(waitpid(child, &got, 0) == child && got == 0);
	SET(es, 0);
	SET(gs, 0);
}

#define AT(name) offsetof(struct user_regs_struct, name)

static unsigned long peek(pid_t child, size_t at)
{
	errno = 0;
	return ptrace(PTRACE_PEEKUSER, child, at, 0);
}

static void of_a_debugger(void)
{
	static const size_t all[] = { AT(ds), AT(es), AT(fs), AT(gs) };
	struct user_regs_struct regs;
	pid_t child = fork();
	int got;

	if (!child) {
		SET(es, flat);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(GET(ds) == flat && GET(es) == flat && GET(gs) == 0 ? 7 : 1);
	}
	CHECK(waitpid(child, &got, 0) == child && WIFSTOPPED(got));
	CHECK(ptrace(PTRACE_GETREGS, child, 0, &regs) == 0);
	CHECK(regs.ds == 0 && regs.es == flat && regs.fs == 0 && regs.gs == 0 && regs.cs == 0x33 && regs.ss == flat);
	for (int i = 0; i < 4; i++) {
		CHECK(ptrace(PTRACE_POKEUSER, child, all[i], flat) == 0 && peek(child, all[i]) == flat);
		CHECK(ptrace(PTRACE_POKEUSER, child, all[i], 0x10) == -1 && errno == EIO);
		CHECK(ptrace(PTRACE_POKEUSER, child, all[i], 4) == -1 && errno == EIO);
		CHECK(peek(child, all[i]) == flat);
	}
	CHECK(ptrace(PTRACE_POKEUSER, child, AT(fs), 0) == 0);
	/* Names no segment: accepted and kept, and null as soon as the CPU should load it. */
	CHECK(ptrace(PTRACE_POKEUSER, child, AT(gs), 0xfff3) == 0 && peek(child, AT(gs)) == 0xfff3);
	CHECK(ptrace(PTRACE_CONT, child, 0, 0) == 0);
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got) && WEXITSTATUS(got) == 7);
}

int main(int argc, char **argv)
{
	(void)argv;
	at_the_start();
	if (argc > 1)
		return 0;
	of_each_task();
	inherited();
	of_a_debugger();
	puts("ok");
	return 0;
}
