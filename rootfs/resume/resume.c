/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes a guest that starts from a snapshot one of its own: fresh random numbers, the right time, new keys, a name.
 *
 * usage: resume MAGIC HOST_KEY AUTHORIZED MARK [PID_FILE]
 *
 * MAGIC: 64 hexadecimal digits. HOST_KEY, AUTHORIZED: the SSH server's key, and the keys that may log in, of which those
 * stay whose lines do not end with MARK. PID_FILE: where the server has the number of its process; with it, the server
 * is told by SIGHUP to start anew. Returns when a process of its own waits for the snapshot.
 *
 * The orchestrator starts it before it stores the machine, and finds its page in the machine's memory by MAGIC. Once
 * nobody is logged in by SSH any more, the program spins with the highest priority, so that no other program runs
 * between the snapshot and the moment at which the random numbers are new. Into the machine that starts from the
 * snapshot the orchestrator writes a message before it lets it run.
 *
 * Invariant: phase goes 0, WAITS, SPINS in this order, and to GIVEN by the orchestrator alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/random.h>
#include <linux/rtc.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { WAITS = 1, SPINS = 2, GIVEN = 3 };
enum { MAGIC_SIZE = 32, SEED_SIZE = 64, PAGE_SIZE = 4096, SSH_PORT = 22 };
/* States of a socket in /proc/net/tcp. */
enum { TCP_TIME_WAIT = 6, TCP_LISTEN = 10 };
static const int64_t SECOND = 1000000000;
/* Polls of POLL_NS until nobody is logged in; milliseconds until the SSH server has the new keys. */
enum { POLL_NS = 10000000, POLLS = 6000, START_MS = 60000 };

enum { HOST_NAME, HOST_KEY, CLIENT_LINE, PARTS };

/* Written by the orchestrator (orchestration/machine/incoming.py), but for magic and phase. */
struct message {
	uint8_t magic[MAGIC_SIZE];
	uint32_t phase;
	uint32_t sizes[PARTS];
	int64_t seconds;
	int64_t nanoseconds;
	uint8_t seed[SEED_SIZE];
	/* One after the other; each may be empty. */
	char parts[PAGE_SIZE - 128];
};

/* The guest's SSH server: its files, and the keys that may log in whoever the run belongs to. */
struct server {
	const char *host_key, *authorized, *pid_file;
	pid_t process;
	/* Tells of new files in the folder of pid_file. */
	int watch;
	char *kept;
	size_t kept_size;
};

_Static_assert(sizeof(struct message) == PAGE_SIZE, "the message has one page");

/* Set in the process that waits, where standard error is nothing. */
static bool waiting;

/* Writes to the guest's console; returns whether that went well. */
static bool tell(const char *text)
{
	int console = open("/dev/console", O_WRONLY | O_NOCTTY);
	bool told = console >= 0 && write(console, text, strlen(text)) == (ssize_t)strlen(text);

	if (console >= 0)
		close(console);
	return told;
}

static void fail(const char *what)
{
	char text[256];

	if (waiting) {
		snprintf(text, sizeof(text), "\r\nquoll: cannot resume: %s: %s\r\n", what, strerror(errno));
		tell(text);
	} else {
		perror(what);
	}
	exit(1);
}

/* Returns how many connections SSH has. */
static int ssh_connections(void)
{
	static const char *const tables[] = { "/proc/net/tcp", "/proc/net/tcp6" };
	unsigned int port, state;
	int connections = 0;
	char line[512];

	for (int i = 0; i < 2; i++) {
		FILE *table = fopen(tables[i], "r");

		while (table && fgets(line, sizeof(line), table))
			if (sscanf(line, "%*s %*[0-9A-F]:%x %*s %x", &port, &state) == 2 && port == SSH_PORT &&
			    state != TCP_TIME_WAIT && state != TCP_LISTEN)
				connections++;
		if (table)
			fclose(table);
	}
	return connections;
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

/* Sets the real-time clock to the nearest second of the clock. Where there is none, or it is in use, nothing is set. */
static void set_rtc(void)
{
	int device = open("/dev/rtc0", O_RDONLY | O_CLOEXEC);
	struct timespec now;
	struct rtc_time told;
	struct tm parts;

	if (device < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	now.tv_sec += now.tv_nsec >= SECOND / 2;
	gmtime_r(&now.tv_sec, &parts);
	told = (struct rtc_time){ .tm_sec = parts.tm_sec,
	                          .tm_min = parts.tm_min,
	                          .tm_hour = parts.tm_hour,
	                          .tm_mday = parts.tm_mday,
	                          .tm_mon = parts.tm_mon,
	                          .tm_year = parts.tm_year };
	if (ioctl(device, RTC_SET_TIME, &told))
		fail("/dev/rtc0");
	close(device);
}

/* Reads a whole file into memory of its own; returns its size. A file that is not there is empty. */
static size_t read_file(const char *path, char **data)
{
	int file = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	struct stat status;
	ssize_t got;

	*data = NULL;
	if (file < 0 && errno == ENOENT)
		return 0;
	if (file < 0 || fstat(file, &status) || !(*data = malloc(status.st_size + 1)))
		fail(path);
	while (done < (size_t)status.st_size && (got = read(file, *data + done, status.st_size - done)) > 0)
		done += got;
	/* What is not read would be lost where the file is written again. */
	if (done != (size_t)status.st_size)
		fail(path);
	(*data)[done] = '\0';
	close(file);
	return done;
}

/* Removes the lines that end with mark, and the empty ones; each line that stays has an end. */
static size_t without_mark(char *data, size_t size, const char *mark)
{
	size_t kept = 0, length, ends = strlen(mark);

	for (size_t at = 0; at < size; at += length + 1) {
		char *end = memchr(data + at, '\n', size - at);

		length = end ? (size_t)(end - data) - at : size - at;
		if (!length || (length >= ends && !memcmp(data + at + length - ends, mark, ends)))
			continue;
		memmove(data + kept, data + at, length);
		kept += length;
		data[kept++] = '\n';
	}
	return kept;
}

/* Reads what the server has before the snapshot. pid_file: NULL for one that need not start anew. */
static struct server look_at_server(const char *host_key, const char *authorized, const char *mark,
                                    const char *pid_file)
{
	struct server server = { .host_key = host_key, .authorized = authorized, .pid_file = pid_file };
	char *text, *folder;
	size_t size;

	size = read_file(authorized, &server.kept);
	server.kept_size = without_mark(server.kept, size, mark);
	if (!pid_file)
		return server;
	read_file(pid_file, &text);
	server.process = text ? atoi(text) : 0;
	free(text);
	folder = strdup(pid_file);
	server.watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	if (server.process <= 0 || !folder || server.watch < 0 ||
	    inotify_add_watch(server.watch, dirname(folder), IN_CLOSE_WRITE) < 0)
		fail(pid_file);
	free(folder);
	return server;
}

/*
 * Writes a file of two parts. One that is there is written over and cut off: to empty it first would have ext4 write it
 * to the disk when it is closed.
 */
static void write_file(const char *path, const char *first, size_t first_size, const char *second, size_t second_size)
{
	struct iovec parts[] = { { (void *)first, first_size }, { (void *)second, second_size } };
	int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	if (file < 0 || writev(file, parts, 2) != (ssize_t)(first_size + second_size) ||
	    ftruncate(file, first_size + second_size) || close(file))
		fail(path);
}

/* Returns a part of the message and sets its size; a part that does not fit is empty. */
static const char *part(const struct message *page, int number, size_t *size)
{
	size_t at = 0;

	for (int i = 0; i < number; i++)
		at += page->sizes[i];
	*size = at <= sizeof(page->parts) && page->sizes[number] <= sizeof(page->parts) - at ? page->sizes[number] : 0;
	return page->parts + at;
}

/*
 * Gives the guest its name, and the server this run's keys. It does so without a shell, which takes 0.08 s in an
 * emulator that has just started.
 */
static void renew_keys(const struct message *page, const struct server *server)
{
	const char *text;
	size_t size;

	text = part(page, HOST_NAME, &size);
	if (size && sethostname(text, size))
		fail("sethostname");
	text = part(page, HOST_KEY, &size);
	write_file(server->host_key, text, size, NULL, 0);
	text = part(page, CLIENT_LINE, &size);
	write_file(server->authorized, server->kept, server->kept_size, text, size);
}

/* Has the server start anew; waits until it has written the number of its process, after which it listens. */
static void restart(const struct server *server)
{
	const char *slash = strrchr(server->pid_file, '/'), *name = slash ? slash + 1 : server->pid_file;
	union {
		struct inotify_event event;
		char data[4096];
	} told;
	struct pollfd watch = { .fd = server->watch, .events = POLLIN };
	ssize_t size;

	if (kill(server->process, SIGHUP))
		fail("the SSH server");
	while (poll(&watch, 1, START_MS) == 1 && (size = read(server->watch, &told, sizeof(told))) > 0)
		for (ssize_t at = 0; at < size;) {
			const struct inotify_event *event = (const void *)(told.data + at);

			if (event->len && !strcmp(event->name, name))
				return;
			at += sizeof(*event) + event->len;
		}
	errno = ETIMEDOUT;
	fail("the SSH server");
}

int main(int argc, char **argv)
{
	struct message *page;
	struct server server;
	int polls = 0, ready[2];
	int64_t stored;

	if (argc < 5 || argc > 6 || strlen(argv[1]) != 2 * MAGIC_SIZE)
		return 2;
	server = look_at_server(argv[2], argv[3], argv[4], argv[5]);
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
	waiting = true;
	if (write(ready[1], "", 1) != 1)
		return 1;
	close(ready[1]);
	while (ssh_connections())
		if (polls++ == POLLS)
			return 1;
		else
			poll_pause();
	sync();
	set_priority(SCHED_FIFO, sched_get_priority_max(SCHED_FIFO));
	stored = await_message(page);
	renew_random(page);
	set_clock(page, stored);
	set_rtc();
	renew_keys(page, &server);
	explicit_bzero(page, sizeof(*page));
	set_priority(SCHED_OTHER, 0);
	if (server.pid_file)
		restart(&server);
	return tell("\r\nquoll: resumed\r\n") ? 0 : 1;
}
