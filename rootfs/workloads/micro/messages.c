/* SPDX-License-Identifier: BSD-2-Clause */
/* Bytes between processes: round trips over pipes and a unix socket, and a token that goes round a ring of processes.
 *
 * switch-8p-16k is one hop of that token from process to process, a write, a switch and a read, where each of 8
 * processes reads 16 KB of its own before it passes the token on. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro.h"

static int64_t run_pipe(int count)
{
	int there[2], back[2];
	int64_t took;
	pid_t child;

	must(!pipe(there) && !pipe(back), "pipe");
	child = fork();
	must(child >= 0, "fork");
	if (!child)
		echo(there[0], back[1]);
	ping(there[1], back[0], 3);
	took = ping(there[1], back[0], count);
	end_child(child);
	for (int i = 0; i < 2; i++) {
		close(there[i]);
		close(back[i]);
	}
	return took;
}

static int64_t run_unix_socket(int count)
{
	int ends[2];
	int64_t took;
	pid_t child;

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
	child = fork();
	must(child >= 0, "fork");
	if (!child)
		echo(ends[1], ends[1]);
	ping(ends[0], ends[0], 3);
	took = ping(ends[0], ends[0], count);
	end_child(child);
	close(ends[0]);
	close(ends[1]);
	return took;
}

enum { most = 8, own_words = 16 * 1024 / sizeof(long) };

static volatile long own[own_words];

static void touch_own(int words)
{
	long sum = 0;

	for (int i = 0; i < words; i++)
		sum += own[i];
	own[0] = sum;
}

/* Hand the token from in to out, for ever. */
static _Noreturn void member(int in, int out, int words)
{
	char token;

	for (int i = 0; i < words; i++)
		own[i] = i;
	while (read(in, &token, 1) == 1) {
		touch_own(words);
		must(write(out, &token, 1) == 1, "token");
	}
	_exit(0);
}

static void go_round(int out, int in, int words, int rounds)
{
	char token = 0;

	for (int i = 0; i < rounds; i++) {
		must(write(out, &token, 1) == 1, "token");
		must(read(in, &token, 1) == 1, "token");
		touch_own(words);
	}
}

static int64_t ring(int processes, int words, int count)
{
	int pipes[most][2];
	pid_t children[most];
	int64_t took;

	for (int i = 0; i < processes; i++)
		must(!pipe(pipes[i]), "pipe");
	for (int i = 1; i < processes; i++) {
		children[i] = fork();
		must(children[i] >= 0, "fork");
		if (!children[i])
			member(pipes[i - 1][0], pipes[i][1], words);
	}
	go_round(pipes[0][1], pipes[processes - 1][0], words, 3);
	took = begin();
	go_round(pipes[0][1], pipes[processes - 1][0], words, count / processes);
	took = since(took);
	for (int i = 1; i < processes; i++)
		end_child(children[i]);
	for (int i = 0; i < processes; i++) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	return took;
}

static int64_t run_switch_2_0(int count) { return ring(2, 0, count); }

static int64_t run_switch_8_0(int count) { return ring(8, 0, count); }

static int64_t run_switch_2_16(int count) { return ring(2, own_words, count); }

static int64_t run_switch_8_16(int count) { return ring(8, own_words, count); }

/* Counts and a third of them are multiples of the ring's size. */
const struct operation message_operations[] = {
	{ "pipe", 300, run_pipe },
	{ "unix-socket", 300, run_unix_socket },
	{ "switch-2p-0k", 480, run_switch_2_0 },
	{ "switch-8p-0k", 480, run_switch_8_0 },
	{ "switch-2p-16k", 240, run_switch_2_16 },
	{ "switch-8p-16k", 240, run_switch_8_16 },
	{ 0 },
};
