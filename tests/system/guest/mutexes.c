/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Threads on two CPUs write to one file, whose lock is held for as long as a large write takes. Arguments: the two CPUs
 * and for how many seconds. The last line is how often both together have slept.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

enum { threads = 2, large = 1 << 20 };
static time_t end;
static int file;
static long slept[threads];

struct place {
	int cpu, index;
};

static time_t now(void)
{
	struct timespec time;

	CHECK(clock_gettime(CLOCK_MONOTONIC, &time) == 0);
	return time.tv_sec;
}

static void *want(void *arg)
{
	const struct place *place = arg;
	struct rusage usage;
	cpu_set_t set;
	char *bytes = malloc(large);

	CHECK(bytes);
	CPU_ZERO(&set);
	CPU_SET(place->cpu, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	memset(bytes, place->index, large);
	while (now() < end)
		CHECK(pwrite(file, bytes, large, 0) == large);
	CHECK(getrusage(RUSAGE_THREAD, &usage) == 0);
	slept[place->index] = usage.ru_nvcsw;
	free(bytes);
	return NULL;
}

int main(int argc, char **argv)
{
	struct place place[threads];
	pthread_t thread[threads];

	CHECK(argc == 4);
	end = now() + atol(argv[3]);
	file = memfd_create("file", 0);
	CHECK(file >= 0 && ftruncate(file, large) == 0);
	for (int i = 0; i < threads; i++) {
		place[i] = (struct place){ atoi(argv[1 + i]), i };
		CHECK(pthread_create(&thread[i], NULL, want, &place[i]) == 0);
	}
	for (int i = 0; i < threads; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	printf("%ld\n", slept[0] + slept[1]);
	return 0;
}
