/* SPDX-License-Identifier: BSD-2-Clause */
/* Processes: fork, exec, wait, exit statuses, signals that kill, pipes, vfork, many at once, deep recursion of forks. */
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

extern char **environ;

static void exec_status(char *self, int status)
{
	char text[16];
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		snprintf(text, sizeof(text), "%d", status);
		execl(self, self, "exit", text, NULL);
		_exit(127);
	}
	int got;

	CHECK(waitpid(child, &got, 0) == child);
	CHECK(WIFEXITED(got) && WEXITSTATUS(got) == status);
}

static void killed(int signal)
{
	pid_t child = fork();
	int got;

	if (!child) {
		for (;;)
			pause();
	}
	CHECK(kill(child, signal) == 0);
	CHECK(waitpid(child, &got, 0) == child);
	CHECK(WIFSIGNALED(got) && WTERMSIG(got) == signal);
}

static void pipes(void)
{
	enum { size = 1 << 20 };
	int ends[2];
	unsigned long sum = 0, want = 0;
	static unsigned char buffer[4096];

	CHECK(pipe(ends) == 0);
	pid_t child = fork();

	if (!child) {
		close(ends[0]);
		for (int done = 0; done < size; done += sizeof(buffer)) {
			for (unsigned i = 0; i < sizeof(buffer); i++)
				buffer[i] = (done / sizeof(buffer) + i) * 7;
			CHECK(write(ends[1], buffer, sizeof(buffer)) == sizeof(buffer));
		}
		_exit(0);
	}
	close(ends[1]);
	ssize_t n;

	while ((n = read(ends[0], buffer, sizeof(buffer))) > 0)
		for (ssize_t i = 0; i < n; i++)
			sum += buffer[i];
	for (int done = 0; done < size; done += sizeof(buffer))
		for (unsigned i = 0; i < sizeof(buffer); i++)
			want += (unsigned char)((done / sizeof(buffer) + i) * 7);
	int got;

	CHECK(waitpid(child, &got, 0) == child && got == 0);
	CHECK(sum == want);
}

static void many(void)
{
	enum { count = 150 };
	int left = 0, got;

	for (int i = 0; i < count; i++) {
		pid_t child = fork();

		CHECK(child >= 0);
		if (!child) {
			usleep(20000);
			_exit(i % 100);
		}
		left++;
	}
	int sum = 0, want = 0;

	while (left--) {
		CHECK(wait(&got) > 0 && WIFEXITED(got));
		sum += WEXITSTATUS(got);
	}
	for (int i = 0; i < count; i++)
		want += i % 100;
	CHECK(sum == want);
}

static int nest(int depth)
{
	int got;
	volatile char page[8192];

	page[depth] = depth;
	if (!depth)
		return 0;
	pid_t child = fork();

	if (!child)
		_exit(nest(depth - 1) + 1);
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got));
	CHECK(page[depth] == depth);
	return WEXITSTATUS(got);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	for (int i = 0; i < 20; i++)
		exec_status(argv[0], i * 12);
	killed(SIGKILL);
	killed(SIGTERM);
	pipes();
	many();
	CHECK(nest(20) == 20);
	pid_t child;
	int got;
	char *arguments[] = { argv[0], "exit", "33", NULL };

	CHECK(posix_spawn(&child, argv[0], NULL, NULL, arguments, environ) == 0);
	CHECK(waitpid(child, &got, 0) == child && WEXITSTATUS(got) == 33);
	puts("ok");
	return 0;
}
