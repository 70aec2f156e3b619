/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Page tables that are freed, while what was in them is used again: L4 remembers where tables are, and must forget them
 * with the flush. The memory of a freed table soon is a page of this program, which has what a table could have.
 */
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { large = 1 << 21, page = 4096, pages = 24, threads = 4, rounds = 100 };

/* Valid, for user mode, all rights, accessed and dirty; of memory that is the kernel's. */
static const uint64_t trap = 0x600000 | 0xff;

/* Ways to free the table of the 2 MiB at `at`. */
enum { unmapped, moved, replaced, beside, ways };

static pthread_barrier_t all_are_there;

static char *map(char *at, uint64_t size)
{
	char *got = mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);

	CHECK(got != MAP_FAILED);
	return got;
}

static void free_table(char *at, int way)
{
	switch (way) {
	case unmapped:
		CHECK(munmap(at, large) == 0);
		break;
	case moved: /* its table as it is */
		CHECK(mremap(at, large, large, MREMAP_MAYMOVE | MREMAP_FIXED, at + 2 * large) == at + 2 * large);
		CHECK(munmap(at + 2 * large, large) == 0);
		break;
	case replaced:
		map(at, large);
		break;
	case beside: /* with its neighbour, in one call */
		CHECK(munmap(at, 2 * large) == 0);
		break;
	}
}

/* Its own 4 * large from `at` on are all that a thread maps, once all threads are there. */
static void *work(void *argument)
{
	char *at = argument, *fresh = at + 3 * large;
	int own = (int)((uintptr_t)at / large / 4);

	pthread_barrier_wait(&all_are_there);
	for (int round = 0; round < rounds; round++) {
		int first = round * 7 % 400;

		map(at, 2 * large);
		for (int k = 0; k < 3; k++)
			at[(first + k * 20) * page] = 1;
		at[large] = 1;
		free_table(at, (round + own) % ways);
		/* the table's memory, with entries for all that was not touched */
		map(fresh, pages * page);
		for (int k = 0; k < pages * page / 8; k++)
			((volatile uint64_t *)fresh)[k] = trap;
		map(at, 2 * large);
		for (int k = 0; k < 3; k++) {
			char *now = at + (first + 10 + k * 20) * page;

			for (int word = 0; word < page; word += 512)
				CHECK(*(volatile uint64_t *)(now + word) == 0);
			*(volatile uint64_t *)now = round;
			CHECK(*(volatile uint64_t *)now == (uint64_t)round);
		}
		for (int k = 0; k < pages * page / 8; k++)
			CHECK(((volatile uint64_t *)fresh)[k] == trap);
		CHECK(munmap(fresh, pages * page) == 0);
	}
	return NULL;
}

int main(void)
{
	char *place = map(NULL, (4 * threads + 1) * (uint64_t)large);
	pthread_t thread[threads];

	place += -(uintptr_t)place & (large - 1);
	CHECK(pthread_barrier_init(&all_are_there, NULL, threads) == 0);
	for (int i = 0; i < threads; i++)
		CHECK(pthread_create(&thread[i], NULL, work, place + i * 4L * large) == 0);
	for (int i = 0; i < threads; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	puts("ok");
	return 0;
}
