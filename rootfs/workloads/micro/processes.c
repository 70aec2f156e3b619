/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes: fork and exit, fork and another program, and a shell that starts program after program. */
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro.h"

static void wait_for(pid_t child)
{
	int status;

	must(child >= 0, "fork");
	must(waitpid(child, &status, 0) == child && !status, "child");
}

static int64_t run_fork_exit(int count)
{
	TIMED(count, {
		pid_t child = fork();

		if (!child)
			_exit(0);
		wait_for(child);
	});
}

static void spawn(char *const argv[])
{
	pid_t child = fork();

	if (!child) {
		execv(argv[0], argv);
		_exit(127);
	}
	wait_for(child);
}

static int64_t run_fork_exec(int count)
{
	char *argv[] = { own_path, "--exit", NULL };

	TIMED(count, spawn(argv));
}

static int64_t run_shell(int count)
{
	char script[128];
	char *argv[] = { "/bin/sh", "-c", script, NULL };

	/* The least digits that differ are not the loop's. */
	snprintf(script, sizeof(script), "i=100; while [ $i -lt %d ]; do /usr/bin/true; i=$((i+1)); done", 100 + count);
	TIMED(1, spawn(argv));
}

const struct operation process_operations[] = {
	{ "fork-exit", 30, run_fork_exit },
	{ "fork-exec", 12, run_fork_exec },
	{ "shell-loop", 6, run_shell },
	{ 0 },
};
