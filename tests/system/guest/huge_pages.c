/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Pages of 2 MiB: transparent ones by madvise() and by collapse, those of hugetlb, and what splits or ages them. For a
 * kernel with both; it runs as root.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "tries.h"

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif

enum { page = 4096, huge = 2 << 20, huge_count = 4, size = huge_count * huge };

/* A field of /proc/self/smaps, in KiB, of the mapping that has an address. */
static long smaps(const void *address, const char *field)
{
	FILE *file = fopen("/proc/self/smaps", "r");
	char line[256];
	int here = 0;
	long value = -1;

	CHECK(file);
	while (fgets(line, sizeof(line), file)) {
		unsigned long start, end;

		if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
			here = start <= (uintptr_t)address && (uintptr_t)address < end;
		else if (here && !strncmp(line, field, strlen(field)))
			value = atol(line + strlen(field) + 1);
	}
	fclose(file);
	CHECK(value >= 0);
	return value;
}

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* An aligned range that no huge page backs yet. */
static char *aligned(void)
{
	char *memory = mmap(NULL, size + huge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	return (char *)(((uintptr_t)memory + huge - 1) & -(uintptr_t)huge);
}

static char *transparent(void)
{
	char *memory = aligned();

	CHECK(madvise(memory, size, MADV_HUGEPAGE) == 0);
	for (int i = 0; i < huge_count; i++)
		memory[i * huge] = i + 1;
	CHECK(smaps(memory, "AnonHugePages:") == size >> 10);
	return memory;
}

static void fill(char *memory)
{
	for (int i = 0; i < size; i += page)
		memory[i] = i / page % 101;
}

static void check_filled(const char *memory)
{
	for (int i = 0; i < size; i += page)
		CHECK(memory[i] == i / page % 101);
}

/* A child changes all; its parent does not see that. Then the parent changes its own again. */
static void check_fork(char *memory)
{
	pid_t child;
	int got;

	fill(memory);
	child = fork();
	if (!child) {
		check_filled(memory);
		for (int i = 0; i < size; i += page)
			memory[i] = 120;
		for (int i = 0; i < size; i += page)
			CHECK(memory[i] == 120);
		_exit(0);
	}
	/* While the child has it, this write must not reach the child. */
	CHECK(!faults(memory + size / 2, 1));
	CHECK(waitpid(child, &got, 0) == child && got == 0);
	check_filled(memory);
}

static void check_rights(char *memory, int step)
{
	fill(memory);
	for (int i = 0; i < 50; i++) {
		CHECK(mprotect(memory + step, step, PROT_READ) == 0);
		CHECK(!faults(memory + step, 0) && faults(memory + step, 1) && !faults(memory + step - page, 1));
		CHECK(mprotect(memory + step, step, PROT_NONE) == 0);
		CHECK(faults(memory + step, 0) && !faults(memory + 2 * step, 1));
		CHECK(mprotect(memory + step, step, PROT_READ | PROT_WRITE) == 0);
		CHECK(!faults(memory + step, 1));
	}
	check_filled(memory);
}

/* The kernel copies into it and out of it, across the borders of small and huge pages. */
static void check_kernel_access(char *memory)
{
	static char text[3 * page], got[3 * page];
	int ends[2];

	CHECK(pipe(ends) == 0);
	for (int i = 0; i < 3 * page; i++)
		text[i] = i * 7;
	CHECK(write(ends[1], text, sizeof(text)) == sizeof(text));
	CHECK(read(ends[0], memory + huge - page - 5, sizeof(text)) == sizeof(text));
	CHECK(!memcmp(memory + huge - page - 5, text, sizeof(text)));
	CHECK(write(ends[1], memory + huge - page - 5, sizeof(text)) == sizeof(text));
	CHECK(read(ends[0], got, sizeof(got)) == sizeof(got) && !memcmp(text, got, sizeof(got)));
	close(ends[0]);
	close(ends[1]);
}

static int twice(int value) { return 2 * value; }

/* Code of this program, copied into it. */
static void check_execution(char *memory)
{
	int (*copy)(int) = (int (*)(int))(void *)(memory + 5 * page);

	memcpy(memory + 5 * page, (void *)twice, 64);
	CHECK(mprotect(memory, size, PROT_READ | PROT_EXEC) == 0);
	__builtin___clear_cache(memory + 5 * page, memory + 5 * page + 64);
	CHECK(copy(21) == 42);
	CHECK(mprotect(memory, size, PROT_READ | PROT_WRITE) == 0);
}

static void transparent_pages(void)
{
	char *memory = transparent();

	check_fork(memory);
	check_kernel_access(memory);
	check_execution(memory);
	memory = transparent();
	check_rights(memory, huge);
	CHECK(smaps(memory, "AnonHugePages:") > 0);
	check_rights(memory, page);
	CHECK(smaps(memory, "AnonHugePages:") < size >> 10);
}

static void split_by_advice_and_move(void)
{
	char *memory = transparent(), *other = aligned();

	fill(memory);
	CHECK(madvise(memory + 3 * page, page, MADV_DONTNEED) == 0);
	CHECK(memory[3 * page] == 0 && memory[2 * page] == 2 && memory[4 * page] == 4);
	memory[3 * page] = 3;
	CHECK(mremap(memory, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, other) == other);
	check_filled(other);
	CHECK(munmap(other + huge, page) == 0);
	CHECK(faults(other + huge, 0) && !faults(other + huge + page, 1));
}

/* Small pages in use become a huge one with the same content, and age as one. */
static void collapse_and_age(void)
{
	char *memory = aligned();

	CHECK(madvise(memory, size, MADV_NOHUGEPAGE) == 0);
	fill(memory);
	CHECK(smaps(memory, "AnonHugePages:") == 0);
	CHECK(madvise(memory, size, MADV_HUGEPAGE) == 0 && madvise(memory, size, MADV_COLLAPSE) == 0);
	CHECK(smaps(memory, "AnonHugePages:") == size >> 10);
	check_filled(memory);
	for (int i = 0; i < 3; i++) {
		write_file("/proc/self/clear_refs", "1");
		CHECK(smaps(memory, "Referenced:") == 0);
		CHECK(!faults(memory + huge, 1));
		CHECK(smaps(memory, "Referenced:") == huge >> 10);
	}
	check_fork(memory);
}

static void hugetlb(void)
{
	char *memory, *shared;

	write_file("/proc/sys/vm/nr_hugepages", "16");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	CHECK(memory != MAP_FAILED);
	check_fork(memory);
	check_rights(memory, huge);
	check_kernel_access(memory);
	check_execution(memory);
	shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
	CHECK(shared != MAP_FAILED);
	fill(shared);
	if (!fork()) {
		check_filled(shared);
		shared[huge] = 77;
		_exit(0);
	}
	CHECK(wait(NULL) > 0 && shared[huge] == 77);
	CHECK(munmap(memory, size) == 0 && munmap(shared, size) == 0);
	write_file("/proc/sys/vm/nr_hugepages", "0");
}

int main(void)
{
	struct sigaction action = { .sa_handler = on_fault };

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	/* Linux turns them off where it has less than 512 MiB. */
	write_file("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	transparent_pages();
	split_by_advice_and_move();
	collapse_and_age();
	hugetlb();
	puts("ok");
	return 0;
}
