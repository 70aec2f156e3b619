/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals: floating-point state across them and across preemption, fault addresses, alternate stack, masks, alarms. */
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static volatile int ticks;
static volatile double sink;

/* A handler that needs many floating-point registers. */
static void on_tick(int number)
{
	double a[16];

	for (int i = 0; i < 16; i++)
		a[i] = number * 1.5 + i + ticks;
	for (int round = 0; round < 50; round++)
		for (int i = 0; i < 16; i++)
			a[i] = a[i] * 1.0001 + a[(i + 1) % 16];
	sink = a[3];
	ticks++;
}

/* Computes for long in floating-point registers: the result is the same unless they are disturbed. */
static double compute(long rounds)
{
	double a = 1, b = 2, c = 3, d = 4, e = 5, f = 6, g = 7, h = 8;

	for (long i = 0; i < rounds; i++) {
		a = a * 0.999 + b * 0.001;
		b = b * 0.998 + c * 0.002;
		c = c * 0.997 + d * 0.003;
		d = d * 0.996 + e * 0.004;
		e = e * 0.995 + f * 0.005;
		f = f * 0.994 + g * 0.006;
		g = g * 0.993 + h * 0.007;
		h = h * 0.992 + a * 0.008 + 0.01;
	}
	return a + b + c + d + e + f + g + h;
}

static void floating_point(void)
{
	enum { rounds = 3000000 };
	double want = compute(rounds);
	struct itimerval timer = { { 0, 10000 }, { 0, 10000 } }, off = { 0 };
	pid_t other = fork();

	if (!other) {
		for (;;)
			sink += compute(1000);
	}
	signal(SIGALRM, on_tick);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	for (int i = 0; i < 3 || ticks < 10; i++)
		CHECK(compute(rounds) == want);
	CHECK(setitimer(ITIMER_REAL, &off, NULL) == 0);
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
}

static sigjmp_buf back;
static void *volatile fault_address;
static volatile int on_alternate;
static char alternate[65536];

static void on_fault(int number, siginfo_t *info, void *context)
{
	char here;

	(void)number;
	(void)context;
	fault_address = info->si_addr;
	on_alternate = &here >= alternate && &here < alternate + sizeof(alternate);
	siglongjmp(back, 1);
}

static void faults(void)
{
	stack_t stack = { .ss_sp = alternate, .ss_size = sizeof(alternate) };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	char *volatile low = (char *)16;
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(sigaltstack(&stack, NULL) == 0 && sigaction(SIGSEGV, &action, NULL) == 0);
	for (int i = 0; i < 100; i++) {
		fault_address = NULL;
		if (!sigsetjmp(back, 1)) {
			*(volatile char *)(page + i) = 1;
			CHECK(!"the write went through");
		}
		CHECK(fault_address == page + i && on_alternate);
	}
	if (!sigsetjmp(back, 1)) {
		(void)*(volatile char *)low;
		CHECK(!"the read went through");
	}
	CHECK(fault_address == low);
	signal(SIGSEGV, SIG_DFL);
}

static volatile int order, first, second;

static void on_user(int number)
{
	if (number == SIGUSR1)
		first = ++order;
	else
		second = ++order;
}

static void masks(void)
{
	sigset_t set, old, pending;

	signal(SIGUSR1, on_user);
	signal(SIGUSR2, on_user);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK(sigprocmask(SIG_BLOCK, &set, &old) == 0);
	raise(SIGUSR1);
	raise(SIGUSR2);
	CHECK(!first && second == 1);
	CHECK(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1));
	CHECK(sigprocmask(SIG_SETMASK, &old, NULL) == 0);
	CHECK(first == 2);
	struct timespec nap = { 0, 1000000 }, zero = { 0 };

	CHECK(nanosleep(&nap, NULL) == 0);
	sigprocmask(SIG_BLOCK, &set, NULL);
	CHECK(sigtimedwait(&set, NULL, &zero) == -1 && errno == EAGAIN);
	raise(SIGUSR1);
	CHECK(sigtimedwait(&set, NULL, &zero) == SIGUSR1);
}

/* Waits until a process sleeps: here, in its read(). */
static void wait_for_sleep(pid_t process)
{
	char path[32], state = 0;

	snprintf(path, sizeof(path), "/proc/%d/stat", process);
	while (state != 'S') {
		FILE *file = fopen(path, "r");

		CHECK(file && fscanf(file, "%*d (%*[^)]) %c", &state) == 1);
		fclose(file);
	}
}

static void interrupted(void)
{
	struct sigaction action = { .sa_handler = on_user };
	int ends[2];
	char byte;

	CHECK(pipe(ends) == 0 && sigaction(SIGUSR2, &action, NULL) == 0);
	pid_t parent = getpid(), child = fork();

	if (!child) {
		wait_for_sleep(parent);
		kill(parent, SIGUSR2);
		_exit(0);
	}
	CHECK(read(ends[0], &byte, 1) == -1 && errno == EINTR);
	waitpid(child, NULL, 0);
	action.sa_flags = SA_RESTART;
	CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
	child = fork();
	if (!child) {
		wait_for_sleep(parent);
		kill(parent, SIGUSR2);
		/* kill() has made it run; it sleeps again in the read() that goes on. */
		wait_for_sleep(parent);
		CHECK(write(ends[1], "x", 1) == 1);
		_exit(0);
	}
	CHECK(read(ends[0], &byte, 1) == 1 && byte == 'x');
	waitpid(child, NULL, 0);
}

int main(void)
{
	floating_point();
	faults();
	masks();
	interrupted();
	puts("ok");
	return 0;
}
