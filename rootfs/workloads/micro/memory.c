/* SPDX-License-Identifier: BSD-2-Clause */
/* Page faults and changes of mappings. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "micro.h"

/* Linux maps the neighbours of a page of a file with it, up to this many: a touch of each such group is one fault. */
enum { around = 16, mapped = 4 << 20 };

static char *map(size_t size, int flags, int file)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, file, 0);

	must(memory != MAP_FAILED, "mmap");
	return memory;
}

static int64_t touch(char *memory, int count, size_t step) { TIMED(count, ((volatile char *)memory)[i_ * step] = 1); }

static int64_t run_anonymous(int count)
{
	char *memory = map((size_t)count * page, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int64_t took = touch(memory, count, page);

	munmap(memory, (size_t)count * page);
	return took;
}

static int64_t read_each(char *memory, int count, size_t step)
{
	TIMED(count, (void)((volatile char *)memory)[i_ * step]);
}

static int64_t run_file(int count)
{
	static const char path[] = "/dev/shm/micro-fault";
	size_t size = (size_t)count * around * page;
	int file = open(path, O_RDWR | O_CREAT, 0600);
	int64_t took;
	char *memory;

	must(file >= 0 && !ftruncate(file, size), path);
	memory = map(size, MAP_SHARED, file);
	/* In the page cache, but not mapped. */
	memset(memory, 1, size);
	munmap(memory, size);
	memory = map(size, MAP_SHARED, file);
	took = read_each(memory, count, around * page);
	munmap(memory, size);
	close(file);
	unlink(path);
	return took;
}

/* A file of 4 MiB, all of it in the page cache: map it, touch each of its pages, unmap it. */
static int64_t map_and_touch(char *(*touched)(char *), int count)
{
	static const char path[] = "/dev/shm/micro-map";
	int file = open(path, O_RDWR | O_CREAT, 0600);
	int64_t took;

	must(file >= 0 && !ftruncate(file, mapped), path);
	munmap(memset(map(mapped, MAP_SHARED, file), 1, mapped), mapped);
	took = begin();
	for (int i = 0; i < count; i++)
		munmap(touched(map(mapped, MAP_SHARED, file)), mapped);
	took = since(took);
	close(file);
	unlink(path);
	return took;
}

static char *read_pages(char *memory)
{
	for (size_t at = 0; at < mapped; at += page)
		(void)((volatile char *)memory)[at];
	return memory;
}

static char *write_pages(char *memory)
{
	for (size_t at = 0; at < mapped; at += page)
		((volatile char *)memory)[at] = 1;
	return memory;
}

static int64_t run_map_read(int count) { return map_and_touch(read_pages, count); }

static int64_t run_map_write(int count) { return map_and_touch(write_pages, count); }

/* A child writes to what it has inherited, and tells by a pipe how long that took. */
static int64_t run_cow(int count)
{
	size_t size = (size_t)count * page;
	char *memory = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int result[2];
	int64_t took;
	pid_t child;

	memset(memory, 1, size);
	must(!pipe(result), "pipe");
	child = fork();
	must(child >= 0, "fork");
	if (!child) {
		took = touch(memory, count, page);
		must(write(result[1], &took, sizeof(took)) == sizeof(took), "write");
		_exit(0);
	}
	must(read(result[0], &took, sizeof(took)) == sizeof(took), "read");
	waitpid(child, NULL, 0);
	close(result[0]);
	close(result[1]);
	munmap(memory, size);
	return took;
}

static int64_t run_mmap(int count)
{
	TIMED(count, {
		char *memory = map(page, MAP_PRIVATE | MAP_ANONYMOUS, -1);

		*(volatile char *)memory = 1;
		munmap(memory, page);
	});
}

static int64_t protect(char *memory, int count)
{
	TIMED(count, {
		must(!mprotect(memory, page, PROT_READ), "mprotect");
		must(!mprotect(memory, page, PROT_READ | PROT_WRITE), "mprotect");
		*(volatile char *)memory = 1;
	});
}

static int64_t run_mprotect(int count)
{
	char *memory = map(page, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	int64_t took;

	*(volatile char *)memory = 1;
	took = protect(memory, count);
	munmap(memory, page);
	return took;
}

const struct operation memory_operations[] = {
	{ "fault-anonymous", 600, run_anonymous },
	{ "fault-file", 150, run_file },
	{ "fault-cow", 450, run_cow },
	{ "mmap-touch-munmap", 300, run_mmap },
	{ "mprotect-twice-touch", 450, run_mprotect },
	{ "map-file-read", 9, run_map_read },
	{ "map-file-write", 3, run_map_write },
	{ 0 },
};
