/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a guest that starts from a snapshot one of its own: fresh random numbers, the right time, new keys.
 *
 * usage: resume MAGIC   (64 hexadecimal digits); returns when a process of its own waits for the snapshot
 *
 * The orchestrator starts it before it stores the machine, and finds its page in the machine's memory by MAGIC. Once
 * nobody is logged in by SSH any more, the program spins with the highest priority, so that no other program runs
 * between the snapshot and the moment at which the random numbers are new. Into the machine that starts from the
 * snapshot the orchestrator writes a message before it lets it run.
 *
 * Invariant: phase goes 0, WAITS, SPINS in this order, and to GIVEN by the orchestrator alone.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WAITS = 1, SPINS = 2, GIVEN = 3 };
enum { MAGIC_SIZE = 32, SEED_SIZE = 64, PAGE_SIZE = 4096, SSH_PORT = 22, SOCKETS = 16 };
/* States of a socket in /proc/net/tcp. */
enum { TCP_TIME_WAIT = 6, TCP_LISTEN = 10 };
static const int64_t SECOND = 1000000000;
/* Polls of POLL_NS until nobody is logged in, and until the SSH server listens with the new keys. */
enum { POLL_NS = 10000000, POLLS = 6000 };

/* Written by the orchestrator (orchestration/machine/incoming.py), but for magic and phase. */
struct message {
	uint8_t magic[MAGIC_SIZE];
	uint32_t phase;
	uint32_t size;
	int64_t seconds;
	int64_t nanoseconds;
	uint8_t seed[SEED_SIZE];
	/* Commands of a shell, size bytes. */
	char script[PAGE_SIZE - 120];
};

_Static_assert(sizeof(struct message) == PAGE_SIZE, "the message has one page");

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* Collects the inodes of SSH's listening sockets; returns how many other sockets SSH has. */
static int ssh_sockets(unsigned long *listening)
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	unsigned int port, state;
	unsigned long inode;
	int others = 0, count = 0;
	char line[512];

	memset(listening, 0, SOCKETS * sizeof(*listening));
	for (int i = 0; i < 2; i++) {
		FILE *table = fopen(tables[i], "r");

		while (table && fgets(line, sizeof(line), table)) {
			if (sscanf(line, "%*s %*[0-9A-F]:%x %*s %x %*s %*s %*s %*s %*s %lu", &port, &state, &inode) !=
			            3 ||
			    port != SSH_PORT)
				continue;
			if (state == TCP_LISTEN && count < SOCKETS)
				listening[count++] = inode;
			else if (state != TCP_TIME_WAIT && state != TCP_LISTEN)
				others++;
		}
		if (table)
			fclose(table);
	}
	return others;
}

/* Tells whether one of the sockets that listen now did not listen before. */
static int is_new(const unsigned long *now, const unsigned long *before)
{
	for (int i = 0; i < SOCKETS && now[i]; i++) {
		int known = 0;

		for (int k = 0; k < SOCKETS; k++)
			known |= before[k] == now[i];
		if (!known)
			return 1;
	}
	return 0;
}

static void poll_pause(void) { nanosleep(&(struct timespec){ .tv_nsec = POLL_NS }, NULL); }

static void set_priority(int policy, int priority)
{
	if (sched_setscheduler(0, policy, &(struct sched_param){ .sched_priority = priority }))
		fail("sched_setscheduler");
}

/* Makes the kernel's generator, and those that it tells of a new generation, start from the message's seed. */
static void renew_random(const struct message *page)
{
	struct {
		struct rand_pool_info head;
		uint8_t bytes[SEED_SIZE];
	} pool = { .head = { .entropy_count = SEED_SIZE * 8, .buf_size = SEED_SIZE } };
	int device = open("/dev/urandom", O_WRONLY);

	memcpy(pool.bytes, page->seed, SEED_SIZE);
	if (device < 0 || ioctl(device, RNDADDENTROPY, &pool) || ioctl(device, RNDRESEEDCRNG))
		fail("the random numbers cannot be made anew");
	close(device);
	explicit_bzero(&pool, sizeof(pool));
}

static int64_t monotonic(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * SECOND + now.tv_nsec;
}

/*
 * Spins until the message is there; returns what the clock was when the machine was stored. That clock goes on from
 * there when the machine resumes, however long the program then waits for a CPU of the host. The reading of two rounds
 * ago was taken before that, wherever in a round the machine was stopped.
 */
static int64_t await_message(struct message *page)
{
	int64_t readings[3] = { monotonic(), monotonic(), monotonic() };

	__atomic_store_n(&page->phase, SPINS, __ATOMIC_RELEASE);
	while (__atomic_load_n(&page->phase, __ATOMIC_ACQUIRE) != GIVEN) {
		readings[0] = readings[1];
		readings[1] = readings[2];
		readings[2] = monotonic();
	}
	return readings[0];
}

/* Sets the clock to the message's time and what has passed since then. */
static void set_clock(const struct message *page, int64_t stored)
{
	int64_t now = page->seconds * SECOND + page->nanoseconds + monotonic() - stored;

	if (clock_settime(CLOCK_REALTIME, &(struct timespec){ now / SECOND, now % SECOND }))
		fail("clock_settime");
}

/*
 * Has a shell run the message's commands. It reads them from a pipe, which takes a whole page: they have a key, and any
 * program may read the arguments of another, also while the shell waits for the disk.
 */
static void run_script(const struct message *page)
{
	size_t size = page->size < sizeof(page->script) ? page->size : sizeof(page->script);
	int commands[2], status;
	pid_t child;

	if (pipe(commands) || write(commands[1], page->script, size) != (ssize_t)size)
		fail("the commands cannot be passed on");
	child = fork();
	if (!child) {
		dup2(commands[0], STDIN_FILENO);
		close(commands[1]);
		execl("/bin/sh", "sh", (char *)NULL);
		_exit(127);
	}
	close(commands[0]);
	close(commands[1]);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		fail("the keys cannot be made anew");
}

static void tell(const char *text)
{
	int console = open("/dev/console", O_WRONLY | O_NOCTTY);

	if (console < 0 || write(console, text, strlen(text)) < 0)
		fail("/dev/console");
	close(console);
}

int main(int argc, char **argv)
{
	unsigned long before[SOCKETS], now[SOCKETS];
	struct message *page;
	int polls = 0, ready[2];
	int64_t stored;

	if (argc != 2 || strlen(argv[1]) != 2 * MAGIC_SIZE)
		return 2;
	if (pipe(ready))
		fail("pipe");
	if (fork()) {
		close(ready[1]);
		return read(ready[0], argv[1], 1) == 1 ? 0 : 1;
	}
	setsid();
	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (page == MAP_FAILED || mlockall(MCL_CURRENT | MCL_FUTURE))
		fail("memory");
	for (int i = 0; i < MAGIC_SIZE; i++)
		sscanf(argv[1] + 2 * i, "%2hhx", &page->magic[i]);
	page->phase = WAITS;
	for (int i = 0; i < 3; i++)
		dup2(open("/dev/null", O_RDWR), i);
	if (write(ready[1], "", 1) != 1)
		return 1;
	close(ready[1]);
	while (ssh_sockets(before))
		if (polls++ == POLLS)
			return 1;
		else
			poll_pause();
	sync();
	set_priority(SCHED_FIFO, sched_get_priority_max(SCHED_FIFO));
	stored = await_message(page);
	renew_random(page);
	set_clock(page, stored);
	run_script(page);
	explicit_bzero(page, sizeof(*page));
	set_priority(SCHED_OTHER, 0);
	for (polls = 0; ssh_sockets(now), !is_new(now, before); polls++)
		if (polls == POLLS)
			return 1;
		else
			poll_pause();
	tell("\r\nquoll: resumed\r\n");
	return 0;
}
