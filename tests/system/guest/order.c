/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two threads that each store, and then load what the other one stores: with a fence between, one of them sees the other.
 * How often none does without it, by sequentially consistent accesses alone, is told only: by the language never, but
 * under QEMU on aarch64 it happens (docs/many-cpus.md, order of accesses).
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "check.h"

enum { rounds = 300000 };

static _Alignas(64) atomic_int first;
static _Alignas(64) atomic_int second;
static _Alignas(64) atomic_int round_begun;
static _Alignas(64) atomic_int round_done;
static bool fenced;
static int seen_by_other;

static int store_and_load(atomic_int *mine, atomic_int *others)
{
	atomic_store(mine, 1);
	if (fenced)
		atomic_thread_fence(memory_order_seq_cst);
	return atomic_load(others);
}

static void *other(void *argument)
{
	int i;

	for (i = 1; i <= rounds; i++) {
		while (atomic_load_explicit(&round_begun, memory_order_acquire) != i)
			;
		seen_by_other = store_and_load(&first, &second);
		atomic_store_explicit(&round_done, i, memory_order_release);
	}
	return argument;
}

/* Returns in how many rounds neither thread saw what the other one had stored. */
static int unseen(bool with_fence)
{
	int i, seen, found = 0;
	pthread_t thread;

	fenced = with_fence;
	round_begun = round_done = 0;
	CHECK(!pthread_create(&thread, NULL, other, NULL));
	for (i = 1; i <= rounds; i++) {
		first = second = 0;
		atomic_store_explicit(&round_begun, i, memory_order_release);
		/* So that the two do not always meet at the same place. */
		for (volatile int wait = 0; wait < i % 16; wait++)
			;
		seen = store_and_load(&second, &first);
		while (atomic_load_explicit(&round_done, memory_order_acquire) != i)
			;
		found += !seen && !seen_by_other;
	}
	CHECK(!pthread_join(thread, NULL));
	return found;
}

int main(void)
{
	/* Threads that take turns on one CPU never meet. */
	if (sysconf(_SC_NPROCESSORS_ONLN) > 1) {
		fprintf(stderr, "without fences: %d of %d\n", unseen(false), rounds);
		CHECK(!unseen(true));
	}
	puts("ok");
	return 0;
}
