/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads: creating one and waiting for its end; handing a turn from one to the other by futex. */
#include <linux/futex.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "micro.h"

static void *nothing(void *unused) { return unused; }

static int64_t run_create(int count)
{
	TIMED(count, {
		pthread_t thread;

		must(!pthread_create(&thread, NULL, nothing, NULL), "pthread_create");
		pthread_join(thread, NULL);
	});
}

static uint32_t turn;

/* Wait for one's turn, then give it away; count times. */
static void take_turns(uint32_t own, int count)
{
	for (int i = 0; i < count; i++) {
		uint32_t seen;

		while ((seen = __atomic_load_n(&turn, __ATOMIC_ACQUIRE)) != own)
			syscall(SYS_futex, &turn, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
		__atomic_store_n(&turn, !own, __ATOMIC_RELEASE);
		syscall(SYS_futex, &turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	}
}

static void *other(void *count)
{
	take_turns(1, *(int *)count);
	return NULL;
}

/* Two hand-offs are one turn of each thread. */
static int64_t run_handoff(int count)
{
	int each = count / 2;
	pthread_t thread;
	int64_t start;

	turn = 0;
	must(!pthread_create(&thread, NULL, other, &each), "pthread_create");
	start = begin();
	take_turns(0, each);
	pthread_join(thread, NULL);
	return since(start);
}

const struct operation thread_operations[] = {
	{ "thread-create", 60, run_create },
	{ "futex-handoff", 600, run_handoff },
	{ 0 },
};
