/* SPDX-License-Identifier: BSD-2-Clause */
/* Accessed bits: a page that is used again after they were cleared counts as used, for reclaim and in smaps. */
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"

enum { page = 4096, pages = 2048, rounds = 5 };

/* kB of a mapping that /proc/self/smaps says were referenced. */
static long referenced(const char *memory)
{
	FILE *smaps = fopen("/proc/self/smaps", "r");
	char line[256], start[32];
	long kilobytes = -1;
	int inside = 0;

	CHECK(smaps);
	snprintf(start, sizeof(start), "%lx-", (unsigned long)memory);
	while (kilobytes < 0 && fgets(line, sizeof(line), smaps)) {
		inside |= !strncmp(line, start, strlen(start));
		if (inside)
			sscanf(line, "Referenced: %ld kB", &kilobytes);
	}
	fclose(smaps);
	return kilobytes;
}

static void forget(void)
{
	int file = open("/proc/self/clear_refs", O_WRONLY);

	CHECK(file >= 0 && write(file, "1", 1) == 1 && close(file) == 0);
}

static void ages(int flags, int write)
{
	/* A hole on both sides keeps the mapping apart from others of its kind. */
	char *hole = mmap(NULL, (pages + 2) * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
	     *memory = hole + page;
	volatile char *at = memory;

	CHECK(hole != MAP_FAILED);
	CHECK(mmap(memory, pages * page, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory);
	memset(memory, 1, pages * page);
	for (int round = 0; round < rounds; round++) {
		/* All, then every eighth. */
		int step = round % 2 ? 8 : 1;

		forget();
		CHECK(referenced(memory) == 0);
		for (int i = 0; i < pages; i += step) {
			if (write)
				at[i * page] = round;
			else
				(void)at[i * page];
		}
		CHECK(referenced(memory) == pages / step * (page / 1024));
	}
	munmap(hole, (pages + 2) * page);
}

int main(void)
{
	ages(MAP_PRIVATE, 0);
	ages(MAP_PRIVATE, 1);
	ages(MAP_SHARED, 0);
	ages(MAP_SHARED, 1);
	puts("ok");
	return 0;
}
