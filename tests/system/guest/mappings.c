/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Faults in a mapping while another thread makes, restricts and removes it, and faults in mappings of their own beside
 * it. Linux handles the latter without the lock that mmap() takes, and the former must see what the calls have left.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { page = 4096, pages = 64, own_pages = 128, askers = 2, neighbours = 2, rounds = 400 };

/* What the mapping is. While the other thread changes it: none of these. */
enum { changing, writable, readable, gone };

static char *changed;
static atomic_ulong state; /* grows by 4 with each change; the rest is one of the above */
static atomic_int done;
static _Thread_local sigjmp_buf back;
static _Thread_local volatile int code;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number, (void)context;
	code = info->si_code;
	siglongjmp(back, 1);
}

/* Returns the si_code of the fault that a load, or a store of `value`, is; 0 if it is none. */
static int try(volatile uint64_t *at, int write, uint64_t value)
{
	if (sigsetjmp(back, 1))
		return code;
	if (write)
		*at = value;
	else
		(void)*at;
	return 0;
}

static char *map(char *at, size_t size)
{
	return mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
}

/* Pages that nobody else changes: all faults have to give an empty page, and loads what was stored. */
static void *fault_in_own(void *argument)
{
	char *own = argument;
	uint64_t round = 0;

	for (; !done; round++) {
		for (int i = 0; i < own_pages; i++) {
			volatile uint64_t *word = (uint64_t *)(own + i * page);

			CHECK(*word == 0);
			*word = round << 12 | (unsigned)i;
		}
		for (int i = 0; i < own_pages; i++)
			CHECK(*(uint64_t *)(own + i * page) == (round << 12 | (unsigned)i));
		CHECK(madvise(own, own_pages * page, MADV_DONTNEED) == 0);
	}
	return (void *)(uintptr_t)round;
}

/* Returns how often it was certain of what the mapping was from before an access to after it. */
static void *ask(void *argument)
{
	uintptr_t certain = 0, n = (uintptr_t)argument;

	for (; !done; n += 7) {
		unsigned long before = state;
		volatile uint64_t *at = (uint64_t *)(changed + n % pages * page);
		int write = n / pages & 1, got = try(at, write, n);

		if (before != state || before % 4 == changing)
			continue;
		certain++;
		if (before % 4 == writable || (before % 4 == readable && !write))
			CHECK(got == 0);
		else
			CHECK(got == (before % 4 == readable ? SEGV_ACCERR : SEGV_MAPERR));
	}
	return (void *)certain;
}

static void set(int what) { state += 4 - state % 4 + what; }

static void change(void)
{
	set(changing);
	CHECK(map(changed, pages * page) == changed);
	set(writable);
	usleep(0);
	set(changing);
	CHECK(mprotect(changed, pages * page, PROT_READ) == 0);
	set(readable);
	usleep(0);
	set(changing);
	CHECK(munmap(changed, pages * page) == 0);
	set(gone);
	usleep(0);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	pthread_t asker[askers], neighbour[neighbours];

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	changed = map(NULL, pages * page);
	CHECK(changed != MAP_FAILED);
	/* All that needs a place comes before change(), so that nothing takes the one that is free at times. */
	for (int i = 0; i < neighbours; i++) {
		char *own = map(NULL, own_pages * page);

		CHECK(own != MAP_FAILED && pthread_create(&neighbour[i], NULL, fault_in_own, own) == 0);
	}
	for (uintptr_t i = 0; i < askers; i++)
		CHECK(pthread_create(&asker[i], NULL, ask, (void *)(i * 31)) == 0);
	for (int round = 0; round < rounds; round++)
		change();
	done = 1;
	for (int i = 0; i < neighbours + askers; i++) {
		void *often;

		CHECK(pthread_join(i < askers ? asker[i] : neighbour[i - askers], &often) == 0);
		CHECK(often != NULL);
	}
	puts("ok");
	return 0;
}
