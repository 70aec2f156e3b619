/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of a process: kept across preemption, signals and fork; changed by a handler through its frame. */
#include <fenv.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "isa.h"

static volatile int ticks;

/* No pattern is a NaN or a denormal: some instructions change those. */
static void fill(unsigned char *to, int seed)
{
	for (int i = 0; i < isa_fp_size; i++)
		to[i] = i % 8 == 7 ? 0x40 : i * 7 + seed;
}

static void on_tick(int number)
{
	unsigned char in[isa_fp_size], out[isa_fp_size];
	volatile int none = 0;

	fill(in, number + ticks);
	fesetround(FE_DOWNWARD);
	isa_hold(in, out, &none, 0);
	CHECK(!memcmp(in, out, isa_fp_size));
	ticks++;
}

/* Three processes hold different registers while timers interrupt them and take the CPU away. */
static void held(void)
{
	struct itimerval timer = { { 0, 10000 }, { 0, 10000 } };
	pid_t children[2];
	int seed = 0, got;

	for (int i = 0; i < 2; i++) {
		children[i] = fork();
		CHECK(children[i] >= 0);
		if (!children[i]) {
			seed = i + 1;
			break;
		}
	}
	unsigned char in[isa_fp_size], out[isa_fp_size];

	signal(SIGALRM, on_tick);
	fill(in, seed * 17);
	CHECK(fesetround(FE_UPWARD) == 0);
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	for (int i = 1; i <= 5; i++) {
		isa_hold(in, out, &ticks, ticks + 5);
		CHECK(!memcmp(in, out, isa_fp_size));
		CHECK(fegetround() == FE_UPWARD);
	}
	timer = (struct itimerval){ 0 };
	CHECK(setitimer(ITIMER_REAL, &timer, NULL) == 0);
	if (seed)
		_exit(0);
	for (int i = 0; i < 2; i++)
		CHECK(waitpid(children[i], &got, 0) == children[i] && WIFEXITED(got) && !WEXITSTATUS(got));
	pid_t child = fork();

	if (!child)
		_exit(fegetround() == FE_UPWARD ? 0 : 1);
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got) && !WEXITSTATUS(got));
	fesetround(FE_TONEAREST);
}

static volatile unsigned long illegal_at, illegal_count;
static volatile int illegal_code;

static void on_illegal(int number, siginfo_t *info, void *context)
{
	(void)number;
	CHECK((unsigned long)info->si_addr == isa_context_pc(context));
	illegal_at = isa_context_pc(context);
	illegal_code = info->si_code;
	illegal_count++;
	isa_skip_illegal(context);
}

static void skipped(void)
{
	struct sigaction action = { .sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGILL, &action, NULL) == 0);
	for (int i = 0; i < 100; i++)
		asm volatile(ISA_ILLEGAL ::: "memory");
	CHECK(illegal_count == 100 && illegal_code == isa_illegal_code);
	CHECK(illegal_at - (unsigned long)skipped < 4096);
	signal(SIGILL, SIG_DFL);
}

enum { tries_max = 100 };
static const struct itimerval once = { { 0, 0 }, { 0, 20000 } };
static unsigned char held_there[isa_fp_size];
static volatile int changed, tries;

/* On a busy host the timer may end before all registers are loaded: then it is set once more. */
static void on_change(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	if (memcmp(isa_context_fp(context), held_there, isa_fp_size)) {
		CHECK(++tries < tries_max);
		CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
		return;
	}
	*isa_context_fp(context) = 0x4010000000000000;
	changed++;
}

/* A handler writes into its frame; the interrupted code sees it, in that register and in no other. */
static void changed_by_a_handler(void)
{
	struct sigaction action = { .sa_sigaction = on_change, .sa_flags = SA_SIGINFO };
	unsigned char out[isa_fp_size];
	const unsigned long want = 0x4010000000000000;

	CHECK(sigaction(SIGALRM, &action, NULL) == 0);
	fill(held_there, 3);
	CHECK(setitimer(ITIMER_REAL, &once, NULL) == 0);
	isa_hold(held_there, out, &changed, 1);
	CHECK(!memcmp(out, &want, 8) && !memcmp(held_there + 8, out + 8, isa_fp_size - 8));
}

/* Code that was just written is what runs. */
static int one(void) { return 1; }

static int two(void) { return 2; }

static void written_code(void)
{
	enum { size = 64 };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int (*volatile call)(void) = (int (*)(void))page;

	CHECK(page != MAP_FAILED);
	for (int i = 0; i < 50; i++) {
		memcpy(page, i % 2 ? (const void *)one : (const void *)two, size);
		__builtin___clear_cache(page, page + size);
		CHECK(call() == (i % 2 ? 1 : 2));
	}
	munmap(page, 4096);
}

int main(void)
{
	held();
	skipped();
	changed_by_a_handler();
	written_code();
	puts("ok");
	return 0;
}
