/* SPDX-License-Identifier: BSD-2-Clause */
/* What single operations of Linux cost: runs those that are named, or all, and prints a JSON line for each.
 *
 *	{"metric": "getppid", "further": 321.0, "mean": 321.4, "rounds": 15, "counters": {"entries": 2.00}}
 *
 * further is what the 2n further turns of a long round cost beyond a short one of n, so that neither the clock nor the
 * loop's frame is in it: the figure to use where the clock counts instructions. mean is that of a long round's turns,
 * for clocks that tell the time. Both are of the median round, since Linux takes turns between its own free lists, and
 * in nanoseconds; counters are L4's, for one turn.
 *
 * A round begins one millisecond after a tick of the kernel's and ends before the next, the address space is not
 * randomised, and the environment is the caller's business: what is left has no reason to differ from run to run. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <time.h>
#include <unistd.h>

#include "micro.h"

enum { rounds = 15, warm_up = 3, tick = 10000000, after_tick = 1000000, short_share = 3, counters_max = 64 };

struct counters {
	int count;
	struct {
		char name[40];
		long long value;
	} each[counters_max];
};

/* Shared with children, which time what they do themselves. */
static struct {
	int wanted;
	struct counters before, after;
} *counting;

static const struct operation *const groups[] = {
	syscall_operations, signal_operations, message_operations, memory_operations,
	process_operations, thread_operations, network_operations,
};
static const char counters_path[] = "/sys/hypervisor/counters";

/* Wait for the start of a tick, so that the next is as far away as can be. */
static void settle(void)
{
	int64_t next = (now() / tick + 2) * tick + after_tick;
	struct timespec until = { .tv_sec = next / 1000000000, .tv_nsec = next % 1000000000 };

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL))
		;
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void read_counters(struct counters *into)
{
	char text[8192];
	int file = open(counters_path, O_RDONLY), taken = 0;
	ssize_t length = file < 0 ? 0 : read(file, text, sizeof(text) - 1);

	close(file);
	into->count = 0;
	text[length > 0 ? length : 0] = 0;
	for (char *line = text; into->count < counters_max; line += taken) {
		if (sscanf(line, "%39s %lld\n%n", into->each[into->count].name, &into->each[into->count].value,
		           &taken) < 2)
			break;
		into->count++;
	}
}

int64_t begin(void)
{
	if (counting->wanted)
		read_counters(&counting->before);
	return now();
}

int64_t since(int64_t start)
{
	int64_t took = now() - start;

	if (counting->wanted)
		read_counters(&counting->after);
	return took;
}

/* Print what L4 counted for one turn, without what reading the counters itself costs. */
static void print_counters(const struct operation *operation)
{
	static struct counters idle;

	counting->wanted = 1;
	since(begin());
	/* Again, now that everything is in memory. */
	since(begin());
	idle = counting->after;
	for (int i = 0; i < idle.count; i++)
		idle.each[i].value -= counting->before.each[i].value;
	if (idle.count) {
		settle();
		operation->run(operation->count);
		printf(", \"counters\": {");
		for (int i = 0, printed = 0; i < idle.count; i++) {
			double each = (double)(counting->after.each[i].value - counting->before.each[i].value -
			                       idle.each[i].value) /
			              operation->count;

			if (each >= 0.005)
				printf("%s\"%s\": %.2f", printed++ ? ", " : "", idle.each[i].name, each);
		}
		putchar('}');
	}
	counting->wanted = 0;
}

static void measure(const struct operation *operation)
{
	int few = operation->count / short_share ? operation->count / short_share : 1;
	int64_t shortest[rounds], longest[rounds];

	for (int round = -warm_up; round < rounds; round++) {
		int at = round < 0 ? 0 : round;

		settle();
		shortest[at] = operation->run(few);
		settle();
		longest[at] = operation->run(operation->count);
	}
	qsort(shortest, rounds, sizeof(*shortest), by_size);
	qsort(longest, rounds, sizeof(*longest), by_size);
	printf("{\"metric\": \"%s\", \"further\": %.1f, \"mean\": %.1f, \"rounds\": %d", operation->name,
	       (double)(longest[rounds / 2] - shortest[rounds / 2]) / (operation->count - few),
	       (double)longest[rounds / 2] / operation->count, rounds);
	print_counters(operation);
	printf("}\n");
	fflush(stdout);
}

static int wanted(const char *name, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], name))
			return 1;
	}
	return argc < 2;
}

char *own_path;

int main(int argc, char **argv)
{
	int found = 0;

	if (argc > 1 && !strcmp(argv[1], "--exit"))
		return 0;
	own_path = argv[0];
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execv(own_path, argv);
		must(0, own_path);
	}
	counting = mmap(NULL, sizeof(*counting), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(counting != MAP_FAILED, "mmap");
	for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++) {
		for (const struct operation *each = groups[i]; each->name; each++) {
			if (argc > 1 && !strcmp(argv[1], "--list")) {
				puts(each->name);
				found++;
			} else if (wanted(each->name, argc, argv)) {
				measure(each);
				found++;
			}
		}
	}
	if (argc > 1 && strcmp(argv[1], "--list") && found < argc - 1) {
		fprintf(stderr, "micro: not all of these are operations; --list names them\n");
		return 2;
	}
	return 0;
}
