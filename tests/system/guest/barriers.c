/* SPDX-License-Identifier: BSD-2-Clause */
/* membarrier(): what it offers, and code that one thread writes and another executes. */
#include <linux/membarrier.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "isa.h"

enum { page = 4096, turns = 200 };
static char *code;
static pthread_barrier_t turn;

static long membarrier(int command) { return syscall(SYS_membarrier, command, 0, 0); }

static void *execute(void *unused)
{
	for (int i = 0; i < turns; i++) {
		pthread_barrier_wait(&turn);
		((void (*)(void))code)();
		pthread_barrier_wait(&turn);
	}
	return unused;
}

int main(void)
{
	long commands = membarrier(MEMBARRIER_CMD_QUERY);
	pthread_t thread;

	CHECK(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
	CHECK(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE);
	CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == -1 && errno == EPERM);
	CHECK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE) == 0);
	CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0);

	code = mmap(NULL, page, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(code != MAP_FAILED && pthread_barrier_init(&turn, NULL, 2) == 0);
	CHECK(pthread_create(&thread, NULL, execute, NULL) == 0);
	for (int i = 0; i < turns; i++) {
		memset(code, 0, page);
		memcpy(code, isa_return, sizeof(isa_return));
		__builtin___clear_cache(code, code + page);
		CHECK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE) == 0);
		pthread_barrier_wait(&turn);
		pthread_barrier_wait(&turn);
	}
	CHECK(pthread_join(thread, NULL) == 0);
	puts("ok");
	return 0;
}
