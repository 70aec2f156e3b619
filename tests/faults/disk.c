/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes and reads a file around the page cache, several requests at a time, and knows what every block must hold.
 *
 *     disk FILE MIB
 *
 * Standard output: "ops N" as long as it goes on; "error TEXT" for what the system refused, "wrong TEXT" for data
 * that is not what was written. When standard input ends: everything is read and checked once more, then
 * "final CRC32" of the file and the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS    4
#define SECTOR     512
#define BLOCK      4096
#define MAX_RUN    16 /* blocks of one request */
#define REPORT_MS  20
#define SYNC_EVERY 64

struct sector {
	uint64_t place, version, word[SECTOR / 8 - 2];
};

static int file;
static uint64_t blocks_each;
static uint32_t *versions; /* of every block; each belongs to one thread */
static volatile int stop;
static uint64_t done;
static pthread_mutex_t out = PTHREAD_MUTEX_INITIALIZER;

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	pthread_mutex_lock(&out);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	pthread_mutex_unlock(&out);
	va_end(args);
}

static uint64_t mix(uint64_t x)
{
	x ^= x >> 30;
	x *= 0xbf58476d1ce4e5b9;
	x ^= x >> 27;
	x *= 0x94d049bb133111eb;
	return x ^ x >> 31;
}

static void fill(struct sector *sector, uint64_t place, uint64_t version)
{
	unsigned int i;

	sector->place = place;
	sector->version = version;
	for (i = 0; i < SECTOR / 8 - 2; i++)
		sector->word[i] = mix(place * 64 + i + (version << 40));
}

static void check(const struct sector *sector, uint64_t place, uint64_t version)
{
	struct sector want;

	fill(&want, place, version);
	if (memcmp(&want, sector, sizeof(want)))
		say("wrong sector %lu: place %lx version %lu where version %lu is due", (unsigned long)place,
		    (unsigned long)sector->place, (unsigned long)sector->version, (unsigned long)version);
}

static void transfer(int write, char *buffer, uint64_t block, unsigned int count)
{
	size_t bytes = count * (size_t)BLOCK;
	ssize_t got = write ? pwrite(file, buffer, bytes, (off_t)(block * BLOCK))
	                    : pread(file, buffer, bytes, (off_t)(block * BLOCK));

	if (got != (ssize_t)bytes)
		say("error %s of %zu bytes at block %lu gave %zd: %s", write ? "write" : "read", bytes,
		    (unsigned long)block, got, got < 0 ? strerror(errno) : "short");
}

static void write_run(char *buffer, uint64_t block, unsigned int count)
{
	unsigned int i, s;

	for (i = 0; i < count; i++)
		for (s = 0; s < BLOCK / SECTOR; s++)
			fill((struct sector *)(buffer + i * BLOCK + s * SECTOR), (block + i) * (BLOCK / SECTOR) + s,
			     versions[block + i] + 1);
	transfer(1, buffer, block, count);
	for (i = 0; i < count; i++)
		versions[block + i]++;
}

static void read_run(char *buffer, uint64_t block, unsigned int count)
{
	unsigned int i, s;

	memset(buffer, 0xee, count * (size_t)BLOCK);
	transfer(0, buffer, block, count);
	for (i = 0; i < count; i++)
		for (s = 0; s < BLOCK / SECTOR; s++)
			check((struct sector *)(buffer + i * BLOCK + s * SECTOR), (block + i) * (BLOCK / SECTOR) + s,
			      versions[block + i]);
}

static void *work(void *arg)
{
	uint64_t first = (uint64_t)(uintptr_t)arg * blocks_each, state = mix(first + 1), at;
	unsigned int count, turn;
	char *buffer;

	if (posix_memalign((void **)&buffer, BLOCK, MAX_RUN * BLOCK))
		abort();
	for (at = 0; at < blocks_each; at += MAX_RUN)
		write_run(buffer, first + at, MAX_RUN);
	for (turn = 1; !stop; turn++) {
		state = mix(state + turn);
		count = state & 0x300 ? 1 : MAX_RUN;
		at = first + (state >> 16) % (blocks_each - count + 1);
		if (state & 1)
			write_run(buffer, at, count);
		else
			read_run(buffer, at, count);
		if (turn % SYNC_EVERY == 0 && fdatasync(file))
			say("error fdatasync: %s", strerror(errno));
		__atomic_fetch_add(&done, 1, __ATOMIC_RELAXED);
	}
	for (at = 0; at < blocks_each; at += MAX_RUN)
		read_run(buffer, first + at, MAX_RUN);
	return NULL;
}

/* The CRC of what each byte may be, which all of a CRC is made from. */
static void fill_table(uint32_t table[256])
{
	unsigned int byte, bit;

	for (byte = 0; byte < 256; byte++)
		for (table[byte] = byte, bit = 0; bit < 8; bit++)
			table[byte] = table[byte] >> 1 ^ (table[byte] & 1 ? 0xedb88320U : 0);
}

static uint32_t crc_of_file(void)
{
	uint32_t crc = ~0U, table[256];
	uint64_t at;
	char *buffer;
	unsigned int i;

	fill_table(table);
	if (posix_memalign((void **)&buffer, BLOCK, MAX_RUN * BLOCK))
		abort();
	for (at = 0; at < blocks_each * THREADS; at += MAX_RUN) {
		transfer(0, buffer, at, MAX_RUN);
		for (i = 0; i < MAX_RUN * BLOCK; i++)
			crc = crc >> 8 ^ table[(crc ^ (unsigned char)buffer[i]) & 0xff];
	}
	return ~crc;
}

int main(int argc, char **argv)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	pthread_t thread[THREADS];
	uint64_t told = 0, now;
	uintptr_t i;
	char byte;

	if (argc != 3)
		return 2;
	blocks_each = strtoull(argv[2], NULL, 10) * (1 << 20) / BLOCK / THREADS;
	versions = calloc(blocks_each * THREADS, sizeof(*versions));
	file = open(argv[1], O_RDWR | O_CREAT | O_TRUNC | O_DIRECT, 0600);
	if (file < 0 || !versions) {
		say("error open %s: %s", argv[1], strerror(errno));
		return 1;
	}
	for (i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, work, (void *)i))
			abort();
	for (;;) {
		if (poll(&input, 1, REPORT_MS) > 0 && read(0, &byte, 1) <= 0)
			break;
		now = __atomic_load_n(&done, __ATOMIC_RELAXED);
		if (now != told)
			say("ops %lu", (unsigned long)now);
		told = now;
	}
	stop = 1;
	for (i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	if (fsync(file))
		say("error fsync: %s", strerror(errno));
	say("final %08x", crc_of_file());
	return 0;
}
