/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals: installing a handler, and being sent to it and back, by a call and by a fault. */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include "micro.h"

static void nothing(int number) { (void)number; }

static int64_t run_install(int count)
{
	struct sigaction action = { .sa_handler = nothing };

	TIMED(count, must(!sigaction(SIGUSR2, &action, NULL), "sigaction"));
}

static int64_t run_catch(int count)
{
	pid_t self = getpid();

	signal(SIGUSR1, nothing);
	TIMED(count, must(!kill(self, SIGUSR1), "kill"));
}

static struct {
	char *memory;
	int left;
} guarded;

static void again(int number)
{
	(void)number;
	if (!--guarded.left)
		must(!mprotect(guarded.memory, page, PROT_READ | PROT_WRITE), "mprotect");
}

/* One store that faults, and is made again when its handler returns. */
static int64_t run_fault(int count)
{
	int64_t took;

	guarded.memory = mmap(NULL, page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(guarded.memory != MAP_FAILED, "mmap");
	guarded.left = count;
	signal(SIGSEGV, again);
	took = begin();
	*(volatile char *)guarded.memory = 1;
	took = since(took);
	signal(SIGSEGV, SIG_DFL);
	munmap(guarded.memory, page);
	return took;
}

const struct operation signal_operations[] = {
	{ "signal-install", 1200, run_install },
	{ "signal-catch", 600, run_catch },
	{ "signal-fault", 450, run_fault },
	{ 0 },
};
