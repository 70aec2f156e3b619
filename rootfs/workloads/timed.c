/* SPDX-License-Identifier: BSD-2-Clause */
/* What a command costs as a whole: timed METRIC ROUNDS COMMAND... prints the median as a JSON line.
 *
 * Every workload has this program in its folder. A first run, which fills the page cache, does not count. Rounds start
 * at the same distance from the kernel's tick, without randomised addresses. The status is the command's, if not 0. */
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { tick = 10000000, after_tick = 1000000, most = 100 };

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void settle(void)
{
	int64_t next = (now() / tick + 5) * tick + after_tick;
	struct timespec until = { .tv_sec = next / 1000000000, .tv_nsec = next % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
		;
}

static int64_t once(char **argv)
{
	int64_t start;
	int status;
	pid_t child;

	settle();
	start = now();
	child = fork();
	if (!child) {
		execvp(argv[0], argv);
		perror(argv[0]);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("timed");
		exit(1);
	}
	start = now() - start;
	if (status)
		exit(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
	return start;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[2]) : 0;
	int64_t took[most];

	if (rounds < 1 || rounds > most) {
		fprintf(stderr, "usage: timed METRIC ROUNDS COMMAND...\n");
		return 2;
	}
	personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
	once(argv + 3);
	for (int i = 0; i < rounds; i++)
		took[i] = once(argv + 3);
	qsort(took, rounds, sizeof(*took), by_size);
	printf("{\"metric\": \"%s\", \"value\": %" PRId64 ", \"min\": %" PRId64 ", \"max\": %" PRId64
	       ", \"rounds\": %d}\n",
	       argv[1], took[rounds / 2], took[0], took[rounds - 1], rounds);
	return 0;
}
