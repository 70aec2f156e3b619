/* SPDX-License-Identifier: BSD-2-Clause */
/* What basic operations of Linux cost, as "NAME NANOSECONDS" lines. Under QEMU's -icount shift=0,sleep=off a
 * nanosecond is one executed instruction. Each figure is the least of several rounds, so that a tick does not count; a round is
 * long enough for a clock that ticks every 100 instructions to be right to one of them. */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { rounds = 9, page = 4096 };

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void must(int good, const char *what)
{
	if (!good) {
		perror(what);
		exit(1);
	}
}

#define MEASURE(name, count, code) do { \
	long long best = -1; \
	for (int round_ = 0; round_ < rounds; round_++) { \
		long long start_ = now(); \
		for (int i = 0; i < (count); i++) { \
			code; \
		} \
		long long took_ = (now() - start_) / (count); \
		if (best < 0 || took_ < best) \
			best = took_; \
	} \
	printf("%s %lld\n", name, best); \
	fflush(stdout); \
} while (0)

static void nothing(int number)
{
	(void)number;
}

static int to_child[2], to_parent[2];

/* A child that sends every byte back, over pipes or one socket. */
static pid_t echo(int in, int out)
{
	pid_t child = fork();
	char byte;

	must(child >= 0, "fork");
	if (!child) {
		close(to_child[1]);
		while (read(in, &byte, 1) == 1)
			must(write(out, &byte, 1) == 1, "write");
		_exit(0);
	}
	return child;
}

static void pipes(void)
{
	char byte = 0;

	must(!pipe(to_child) && !pipe(to_parent), "pipe");
	pid_t child = echo(to_child[0], to_parent[1]);

	MEASURE("pipe round trip", 50, {
		must(write(to_child[1], &byte, 1) == 1, "write");
		must(read(to_parent[0], &byte, 1) == 1, "read");
	});
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void tcp(void)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	char byte = 0;

	must(!bind(server, (struct sockaddr *)&address, length) && !listen(server, 1), "listen");
	must(!getsockname(server, (struct sockaddr *)&address, &length), "getsockname");
	must(!connect(client, (struct sockaddr *)&address, length), "connect");
	int peer = accept(server, NULL, NULL);

	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	pid_t child = echo(peer, peer);

	MEASURE("TCP round trip, loopback", 30, {
		must(write(client, &byte, 1) == 1, "write");
		must(read(client, &byte, 1) == 1, "read");
	});
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

static void page_faults(void)
{
	enum { pages = 256 };
	long long best = -1;

	for (int round = 0; round < rounds; round++) {
		char *memory = mmap(NULL, pages * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		long long start = now();

		for (int i = 0; i < pages; i++)
			memory[i * page] = 1;
		long long took = (now() - start) / pages;

		munmap(memory, pages * page);
		if (best < 0 || took < best)
			best = took;
	}
	printf("anonymous page fault %lld\n", best);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	char byte;

	if (argc > 1)
		return 0;
	int zero = open("/dev/zero", O_RDONLY);

	MEASURE("getppid", 1000, syscall(SYS_getppid));
	MEASURE("read 1 byte", 1000, must(read(zero, &byte, 1) == 1, "read"));
	MEASURE("open+close", 200, close(open("/dev/zero", O_RDONLY)));
	signal(SIGUSR1, nothing);
	MEASURE("signal to self", 200, kill(getpid(), SIGUSR1));
	pipes();
	page_faults();
	char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	MEASURE("2 x mprotect + touch", 50, {
		must(!mprotect(memory, page, PROT_READ), "mprotect");
		must(!mprotect(memory, page, PROT_READ | PROT_WRITE), "mprotect");
		*(volatile char *)memory = 1;
	});
	MEASURE("fork+exit", 10, {
		pid_t child = fork();

		if (!child)
			_exit(0);
		waitpid(child, NULL, 0);
	});
	MEASURE("fork+exec", 10, {
		pid_t child = fork();

		if (!child) {
			execl(argv[0], argv[0], "exit", NULL);
			_exit(1);
		}
		waitpid(child, NULL, 0);
	});
	tcp();
	return 0;
}
