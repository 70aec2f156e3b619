/* SPDX-License-Identifier: BSD-2-Clause */
/* The clock, errors, and the child that sends every byte back. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "micro.h"

int64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

void echo(int in, int out)
{
	char byte;

	while (read(in, &byte, 1) == 1)
		must(write(out, &byte, 1) == 1, "echo");
	_exit(0);
}

void end_child(pid_t child)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

int64_t ping(int out, int in, int count)
{
	char byte = 0;

	TIMED(count, {
		must(write(out, &byte, 1) == 1, "write");
		must(read(in, &byte, 1) == 1, "read");
	});
}
