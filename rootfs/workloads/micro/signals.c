/* SPDX-License-Identifier: BSD-2-Clause */
/* Signals: installing a handler, and being sent to it and back. */
#include <signal.h>
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

const struct operation signal_operations[] = {
	{ "signal-install", 1200, run_install },
	{ "signal-catch", 600, run_catch },
	{ 0 },
};
