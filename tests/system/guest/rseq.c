/* SPDX-License-Identifier: BSD-2-Clause */
/* Restartable sequences: what a switch of tasks writes into the area that is registered. */
#include <signal.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/rseq.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

/* As libc has it, where that registers an area. */
#ifndef RSEQ_SIG
#define RSEQ_SIG 0xf1401073
#endif

static struct rseq own __attribute__((aligned(32)));

/* A sequence that no instruction of this program is in. Before where it would go on is the signature. */
static struct {
	uint32_t signature, target;
} far = { RSEQ_SIG, 0 };
static struct rseq_cs elsewhere;

static struct rseq *area(void)
{
	return __rseq_size ? (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset) : &own;
}

static long switches(void)
{
	struct rusage usage;

	CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
	return usage.ru_nvcsw;
}

/* Another task runs. A time that is over before the task is off its CPU makes no switch. */
static void sleep_a_little(void)
{
	struct timespec time = { .tv_nsec = 1000000 };
	long before = switches();

	do
		CHECK(nanosleep(&time, NULL) == 0);
	while (switches() == before);
}

static void spoil(void)
{
	volatile struct rseq *r = area();

	r->cpu_id_start = 77;
	r->cpu_id = 78;
}

static void is_mended(void)
{
	volatile struct rseq *r = area();
	unsigned int cpu, node;

	CHECK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0);
	CHECK(r->cpu_id_start == cpu);
	CHECK(r->cpu_id == cpu);
}

/* The status of a child that has set rseq_cs, after a switch. */
static int status_with(uint64_t sequence)
{
	pid_t child = fork();
	int status;

	CHECK(child >= 0);
	if (!child) {
		volatile struct rseq *r = area();

		spoil();
		r->rseq_cs = sequence;
		sleep_a_little();
		is_mended();
		_exit(r->rseq_cs ? 2 : 0);
	}
	CHECK(waitpid(child, &status, 0) == child);
	return status;
}

static volatile int caught;

static void on_signal(int number)
{
	(void)number;
	is_mended();
	caught++;
}

int main(void)
{
	struct rlimit none = { 0, 0 };

	CHECK(setrlimit(RLIMIT_CORE, &none) == 0);
	if (!__rseq_size)
		CHECK(syscall(SYS_rseq, &own, sizeof(own), 0, RSEQ_SIG) == 0);
	for (int i = 0; i < 3; i++) {
		spoil();
		sleep_a_little();
		is_mended();
	}
	/* a signal writes it too */
	CHECK(signal(SIGUSR1, on_signal) != SIG_ERR);
	spoil();
	CHECK(raise(SIGUSR1) == 0 && caught == 1);
	/* a sequence that was left is cleared; one that cannot be read ends the program */
	elsewhere.start_ip = 16;
	elsewhere.post_commit_offset = 16;
	elsewhere.abort_ip = (uintptr_t)&far.target;
	CHECK(status_with(0) == 0);
	CHECK(status_with((uintptr_t)&elsewhere) == 0);
	CHECK(status_with(8) == SIGSEGV);
	CHECK(status_with(-8UL) == SIGSEGV);
	puts("ok");
	return 0;
}
