/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads on several CPUs change one address space, fork and move between CPUs, and check what they find. */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { page = 4096, rounds = 20, word_shift = 32 };
static const unsigned long mark = 0x5a5a5a5aUL << word_shift;
static int cpus;

static void go_to(long cpu)
{
	cpu_set_t set;
	unsigned int number, node;

	CPU_ZERO(&set);
	CPU_SET(cpu % cpus, &set);
	CHECK(sched_setaffinity(0, sizeof(set), &set) == 0);
	CHECK(sched_getcpu() == cpu % cpus);
	CHECK(getcpu(&number, &node) == 0 && number == cpu % cpus && node == 0);
}

static void *pages(size_t count)
{
	void *p = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(p != MAP_FAILED);
	return p;
}

/* Registers and thread-local storage go with a thread. */
static _Thread_local long mine;

static void *move(void *arg)
{
	long id = (long)arg;
	volatile double step = 3.0;
	double x = id + 0.5;

	mine = id;
	for (long i = 0; i < rounds * 4; i++) {
		x = x * step / step;
		go_to(id + i);
		CHECK(mine == id && x > id + 0.49 && x < id + 0.51);
	}
	return NULL;
}

/* Own mappings: contents, rights, and pages that are zero when they come. */
static void *map(void *arg)
{
	long id = (long)arg;

	for (long i = 0; i < rounds; i++) {
		size_t count = 1 + (i * 7 + id) % 24, at;
		unsigned char *p = pages(count);

		go_to(id + i);
		for (at = 0; at < count; at++) {
			CHECK(p[at * page] == 0);
			p[at * page] = (unsigned char)(id + at);
		}
		go_to(id + i + 1);
		CHECK(mprotect(p, count * page, PROT_READ) == 0);
		for (at = 0; at < count; at++)
			CHECK(p[at * page] == (unsigned char)(id + at));
		CHECK(munmap(p, count * page) == 0);
	}
	return NULL;
}

/* A page is replaced while others read it by its address: they never see what its memory is used for next. */
static unsigned long *_Atomic shared;
static atomic_int replaced;

static void *replace(void *arg)
{
	unsigned long *p = pages(1);

	go_to((long)arg);
	*p = mark;
	shared = p;
	for (unsigned long i = 0; i < rounds * 4; i++) {
		unsigned long *other;

		CHECK(madvise(p, page, MADV_DONTNEED) == 0);
		other = pages(1);
		*other = i + 1;
		*p = mark | i;
		CHECK(munmap(other, page) == 0);
	}
	replaced = 1;
	return NULL;
}

static void *look(void *arg)
{
	go_to((long)arg);
	while (!replaced) {
		volatile unsigned long *p = shared;
		unsigned long value = p ? *p : 0;

		CHECK(!value || value >> word_shift == mark >> word_shift);
	}
	return NULL;
}

/* A page that is protected is not written from another CPU; its writer has a fault and goes on later. */
static volatile unsigned long *guarded;
static atomic_int closed, finished;
static atomic_ulong faults;

static void on_fault(int number)
{
	(void)number;
	faults++;
	while (closed)
		sched_yield();
}

static void *write_on(void *arg)
{
	go_to((long)arg);
	while (!finished)
		++*guarded;
	return NULL;
}

static void *protect(void *arg)
{
	go_to((long)arg);
	for (int i = 0; i < rounds; i++) {
		unsigned long value, before = faults;

		closed = 1;
		CHECK(mprotect((void *)guarded, page, PROT_READ) == 0);
		value = *guarded;
		while (faults == before)
			sched_yield();
		CHECK(*guarded == value);
		CHECK(mprotect((void *)guarded, page, PROT_READ | PROT_WRITE) == 0);
		closed = 0;
		while (*guarded == value)
			sched_yield();
	}
	finished = 1;
	return NULL;
}

/* A page that a thread has dropped is gone for it, also where another one drops it too and has not flushed yet. */
enum { many = 2048 };
static volatile unsigned char *dropped;
static atomic_int all_dropped;

static void *drop_all(void *arg)
{
	go_to((long)arg);
	while (!all_dropped)
		CHECK(madvise((void *)dropped, many * page, MADV_DONTNEED) == 0);
	return NULL;
}

static void *drop_each(void *arg)
{
	go_to((long)arg);
	for (int i = 0; i < rounds / 4; i++) {
		for (long k = 0; k < many; k++)
			dropped[k * page] = 1;
		for (long k = 0; k < many; k += 7) {
			dropped[k * page] = 1;
			CHECK(madvise((void *)(dropped + k * page), page, MADV_DONTNEED) == 0);
			CHECK(dropped[k * page] == 0);
		}
	}
	all_dropped = 1;
	return NULL;
}

/* What a child has does not change while its parent's other thread goes on. */
static atomic_ulong counter[1024] __attribute__((aligned(4096)));
static atomic_int forked;

static void *count(void *arg)
{
	go_to((long)arg);
	while (!forked) {
		counter[0]++;
		counter[512]++;
	}
	return NULL;
}

static void *fork_on(void *arg)
{
	go_to((long)arg);
	for (int i = 0; i < rounds / 10; i++) {
		int status;
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child) {
			unsigned long first = counter[0], second = counter[512];

			for (int k = 0; k < 10; k++) {
				sched_yield();
				if (counter[0] != first || counter[512] != second)
					_exit(2);
			}
			_exit(first - second > 1);
		}
		CHECK(waitpid(child, &status, 0) == child && status == 0);
	}
	forked = 1;
	return NULL;
}

/* A mutex keeps threads of all CPUs out, and a signal reaches a thread wherever it is. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static unsigned long guarded_by_mutex;
static atomic_ulong signals;

static void on_signal(int number)
{
	(void)number;
	signals++;
}

static void *lock(void *arg)
{
	for (long i = 0; i < rounds * 10; i++) {
		if (i % 100 == 0)
			go_to((long)arg + i / 100);
		pthread_mutex_lock(&mutex);
		guarded_by_mutex++;
		pthread_mutex_unlock(&mutex);
		if (i % 20 == 0)
			CHECK(pthread_kill(pthread_self(), SIGUSR1) == 0);
	}
	return NULL;
}

static void run(int count, void *(*const *what)(void *))
{
	pthread_t thread[8];

	for (long i = 0; i < count; i++)
		CHECK(pthread_create(&thread[i], NULL, what[i], (void *)i) == 0);
	for (int i = 0; i < count; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
}

int main(void)
{
	cpus = (int)sysconf(_SC_NPROCESSORS_ONLN);
	CHECK(cpus > 1);
	guarded = pages(1);
	dropped = pages(many);
	(void)madvise((void *)dropped, many * page, MADV_NOHUGEPAGE);
	CHECK(signal(SIGSEGV, on_fault) != SIG_ERR && signal(SIGUSR1, on_signal) != SIG_ERR);
	run(8, (void *(*[])(void *)){ move, move, move, move, move, move, move, move });
	run(6, (void *(*[])(void *)){ map, map, map, map, map, map });
	run(4, (void *(*[])(void *)){ replace, look, look, look });
	run(2, (void *(*[])(void *)){ protect, write_on });
	run(2, (void *(*[])(void *)){ drop_all, drop_each });
	run(2, (void *(*[])(void *)){ fork_on, count });
	run(6, (void *(*[])(void *)){ lock, lock, lock, lock, lock, lock });
	CHECK(guarded_by_mutex == 6UL * rounds * 10 && signals == 6UL * rounds / 2);
	puts("ok");
	return 0;
}
