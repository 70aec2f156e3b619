/* SPDX-License-Identifier: BSD-2-Clause */
/* Operations of Linux on all CPUs at once: a process bound to each. But for the folder that stat looks up, processes
 * share nothing that they use.
 *
 *	{"metric": "getppid", "value": 321.0, "cpus": 2, "counters": {"guest-syscall": 1.00}}
 *
 * value is the time from the first's start to the last's end, divided by what all of them did: half of one CPU's where
 * two CPUs do not disturb each other. By a clock that counts the instructions of all CPUs it is what one operation costs,
 * on any number of CPUs. It is of the median round; counters are L4's, for one operation. */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { page = 4096, rounds = 5, cpus_max = 64, counters_max = 64 };

struct operation {
	const char *name;
	/* How often each process does it in a round. */
	int count;
	void (*run)(char *memory, int count);
	/* Bytes of fresh memory that one of them needs. */
	size_t each;
};

struct counters {
	int count;
	struct {
		char name[40];
		long long value;
	} each[counters_max];
};

/* What parent and children share. */
static struct {
	pthread_barrier_t begin, end;
	int64_t from[cpus_max], to[cpus_max];
} *shared;

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

static int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

static void *map(size_t size, int flags)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	must(memory != MAP_FAILED, "mmap");
	return memory;
}

static void run_getppid(char *memory, int count)
{
	(void)memory;
	for (int i = 0; i < count; i++)
		syscall(SYS_getppid);
}

static void run_fault(char *memory, int count)
{
	for (int i = 0; i < count; i++)
		((volatile char *)memory)[(size_t)i * page] = 1;
}

/* All processes look up the same folder: each call takes a reference to its dentry and drops it. */
static void run_stat(char *memory, int count)
{
	struct stat status;

	(void)memory;
	for (int i = 0; i < count; i++)
		must(!stat("/tmp", &status), "stat");
}

/*
 * Linux keeps freed pages for each CPU, an eighth of memory for all: 1900 each where eight have 512 MiB. More would come
 * from the zone, which all share.
 */
static const struct operation operations[] = {
	{ "getppid", 20000, run_getppid, 0 },
	{ "fault-anonymous", 1000, run_fault, page },
	{ "stat", 5000, run_stat, 0 },
};

/* The CPU of that number among those that this process may use, or how many those are for a number below 0. */
static int cpu_at(int number)
{
	cpu_set_t allowed;
	int cpu = -1;

	must(!sched_getaffinity(0, sizeof(allowed), &allowed), "sched_getaffinity");
	if (number < 0)
		return CPU_COUNT(&allowed);
	do
		cpu++;
	while (!CPU_ISSET(cpu, &allowed) || number--);
	return cpu;
}

static _Noreturn void work(const struct operation *operation, int number)
{
	char *memory = operation->each ? map(operation->each * operation->count, MAP_PRIVATE) : NULL;
	cpu_set_t own;

	CPU_ZERO(&own);
	CPU_SET(cpu_at(number), &own);
	must(!sched_setaffinity(0, sizeof(own), &own), "sched_setaffinity");
	pthread_barrier_wait(&shared->begin);
	shared->from[number] = now();
	operation->run(memory, operation->count);
	shared->to[number] = now();
	/* The end of an address space is work as well: nobody has it before all are done. */
	pthread_barrier_wait(&shared->end);
	_exit(0);
}

static void read_counters(struct counters *into)
{
	char text[8192];
	int file = open("/sys/hypervisor/counters", O_RDONLY), taken = 0;
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

/* Return the nanoseconds from the first's start to the last's end; note L4's counters there, if that is wanted. */
static int64_t round_of(const struct operation *operation, int cpus, struct counters *before, struct counters *after)
{
	int64_t from = INT64_MAX, to = 0;
	int good = 1, status;

	for (int i = 0; i < cpus; i++) {
		pid_t child = fork();

		must(child >= 0, "fork");
		if (!child)
			work(operation, i);
	}
	if (before)
		read_counters(before);
	pthread_barrier_wait(&shared->begin);
	pthread_barrier_wait(&shared->end);
	if (after)
		read_counters(after);
	for (int i = 0; i < cpus; i++) {
		must(wait(&status) > 0, "wait");
		good &= !status;
		from = shared->from[i] < from ? shared->from[i] : from;
		to = shared->to[i] > to ? shared->to[i] : to;
	}
	if (!good) {
		fprintf(stderr, "parallel: a process of %s failed\n", operation->name);
		exit(1);
	}
	return to - from;
}

static void print_counters(const struct operation *operation, int cpus)
{
	struct counters before, after;
	int printed = 0;

	round_of(operation, cpus, &before, &after);
	if (!after.count)
		return;
	printf(", \"counters\": {");
	for (int i = 0; i < after.count; i++) {
		double each = (double)(after.each[i].value - before.each[i].value) / operation->count / cpus;

		if (each >= 0.005)
			printf("%s\"%s\": %.2f", printed++ ? ", " : "", after.each[i].name, each);
	}
	putchar('}');
}

static int by_size(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void barrier(pthread_barrier_t *made, int count)
{
	pthread_barrierattr_t attributes;

	pthread_barrierattr_init(&attributes);
	pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	must(!pthread_barrier_init(made, &attributes, count), "pthread_barrier_init");
}

static void measure(const struct operation *operation, int cpus)
{
	int64_t took[rounds];

	/* The first fills Linux' free lists. */
	round_of(operation, cpus, NULL, NULL);
	for (int i = 0; i < rounds; i++)
		took[i] = round_of(operation, cpus, NULL, NULL);
	qsort(took, rounds, sizeof(*took), by_size);
	printf("{\"metric\": \"%s\", \"value\": %.2f, \"cpus\": %d", operation->name,
	       (double)took[rounds / 2] / operation->count / cpus, cpus);
	print_counters(operation, cpus);
	printf("}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int cpus = cpu_at(-1);

	(void)argc;
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE)) {
		personality(personality(0xffffffff) | ADDR_NO_RANDOMIZE);
		execv(argv[0], argv);
		must(0, argv[0]);
	}
	cpus = cpus < cpus_max ? cpus : cpus_max;
	shared = map(sizeof(*shared), MAP_SHARED);
	barrier(&shared->begin, cpus + 1);
	barrier(&shared->end, cpus + 1);
	for (size_t i = 0; i < sizeof(operations) / sizeof(*operations); i++)
		measure(&operations[i], cpus);
	return 0;
}
