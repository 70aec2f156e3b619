/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads of all CPUs want two spinlocks of Linux at once: one that is taken with interrupts on (the table of open
 * files), one with interrupts off (the process's signals and times). Its argument is the number of rounds.
 */
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

#include "check.h"

enum { most = 32, names = 4 };
static long rounds;
static int cpus;

static void *want(void *arg)
{
	long id = (long)arg;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(id % cpus, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	for (long i = 0; i < rounds; i++) {
		struct rusage usage;
		int copy[names];

		for (int k = 0; k < names; k++) {
			copy[k] = dup(STDIN_FILENO);
			CHECK(copy[k] > STDERR_FILENO);
			for (int other = 0; other < k; other++)
				CHECK(copy[other] != copy[k]);
		}
		CHECK(getrusage(RUSAGE_SELF, &usage) == 0);
		for (int k = 0; k < names; k++)
			CHECK(close(copy[k]) == 0);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread[most];
	int count, before = dup(STDIN_FILENO), after;

	CHECK(argc == 2 && before >= 0);
	rounds = atol(argv[1]);
	cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	count = cpus * 2 < most ? cpus * 2 : most;
	CHECK(rounds > 0 && cpus > 1);
	for (long i = 0; i < count; i++)
		CHECK(pthread_create(&thread[i], NULL, want, (void *)i) == 0);
	for (int i = 0; i < count; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	after = dup(STDIN_FILENO);
	CHECK(after == before + 1);
	puts("ok");
	return 0;
}
