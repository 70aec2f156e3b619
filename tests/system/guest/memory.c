/* SPDX-License-Identifier: BSD-2-Clause */
/* Memory: copy on write, sharing, protection, files, direct access, mremap, holes, reuse of addresses, much of it. */
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "tries.h"

enum { page = 4096, pages = 512 };

static char *anonymous(size_t size, int flags)
{
	char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED);
	return memory;
}

static void copy_on_write(void)
{
	char *private = anonymous(pages * page, MAP_PRIVATE), *shared = anonymous(pages * page, MAP_SHARED);

	for (int i = 0; i < pages; i++)
		private[i * page] = shared[i * page] = i;
	for (int round = 0; round < 3; round++) {
		pid_t child = fork();
		int got;

		if (!child) {
			for (int i = 0; i < pages; i++) {
				CHECK(private[i * page] == (char)i);
				private[i * page] = i + 100;
				shared[i * page] = i + round + 1;
			}
			for (int i = 0; i < pages; i++)
				CHECK(private[i * page] == (char)(i + 100));
			_exit(0);
		}
		CHECK(waitpid(child, &got, 0) == child && got == 0);
		for (int i = 0; i < pages; i++) {
			CHECK(private[i * page] == (char)i);
			CHECK(shared[i * page] == (char)(i + round + 1));
		}
	}
	munmap(private, pages * page);
	munmap(shared, pages * page);
}

static void protection(void)
{
	char *memory = anonymous(4 * page, MAP_PRIVATE);

	memset(memory, 1, 4 * page);
	for (int i = 0; i < 200; i++) {
		CHECK(mprotect(memory + page, page, PROT_READ) == 0);
		CHECK(!faults(memory + page, 0) && faults(memory + page, 1));
		CHECK(mprotect(memory + page, page, PROT_NONE) == 0);
		CHECK(faults(memory + page, 0) && !faults(memory + 2 * page, 1));
		CHECK(mprotect(memory + page, page, PROT_READ | PROT_WRITE) == 0);
		CHECK(!faults(memory + page, 1));
	}
	CHECK(munmap(memory + page, page) == 0);
	CHECK(faults(memory + page, 0) && !faults(memory, 0) && !faults(memory + 2 * page, 0));
	munmap(memory, 4 * page);
}

static void files(void)
{
	char name[] = "/var/tmp/memory-XXXXXX";
	int file = mkstemp(name);

	CHECK(file >= 0 && ftruncate(file, 8 * page + 100) == 0);
	char *shared = mmap(NULL, 9 * page, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	char *private = mmap(NULL, 9 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	char text[8] = "";

	CHECK(shared != MAP_FAILED && private != MAP_FAILED);
	strcpy(shared + 5 * page, "hello");
	CHECK(!strcmp(private + 5 * page, "hello"));
	strcpy(private + 5 * page, "other");
	CHECK(!strcmp(shared + 5 * page, "hello"));
	CHECK(pread(file, text, 6, 5 * page) == 6 && !strcmp(text, "hello"));
	CHECK(pwrite(file, "disk", 5, 6 * page) == 5 && !strcmp(shared + 6 * page, "disk"));
	CHECK(shared[8 * page + 100] == 0);
	CHECK(ftruncate(file, page) == 0 && msync(shared, page, MS_SYNC) == 0);
	signal(SIGBUS, on_fault);
	CHECK(faults(shared + 4 * page, 0));
	munmap(shared, 9 * page);
	munmap(private, 9 * page);
	close(file);
	unlink(name);
}

/* Direct access: the disk reads and writes a program's own pages, by the program's rights, and no copy of them. */
static void direct(void)
{
	char name[] = "/var/tmp/direct-XXXXXX";
	int file = mkstemp(name), got;
	size_t size = 256 * page;
	char *from = anonymous(size, MAP_PRIVATE), *to = anonymous(size, MAP_PRIVATE);

	CHECK(file >= 0 && fcntl(file, F_SETFL, O_DIRECT) == 0);
	for (size_t i = 0; i < size / 4; i++)
		((unsigned int *)from)[i] = i * 2654435761U;
	CHECK(pwrite(file, from, size, 0) == (ssize_t)size);
	CHECK(pread(file, to, size, 0) == (ssize_t)size && !memcmp(from, to, size));
	CHECK(mprotect(to, page, PROT_NONE) == 0);
	CHECK(pwrite(file, to, page, 0) == -1 && errno == EFAULT);
	CHECK(pread(file, to, page, 0) == -1 && errno == EFAULT);
	CHECK(mprotect(to, page, PROT_READ) == 0);
	CHECK(pread(file, to, page, page) == -1 && errno == EFAULT);
	CHECK(pwrite(file, to, page, 0) == page && !memcmp(from, to, size));
	CHECK(mprotect(to, page, PROT_READ | PROT_WRITE) == 0);
	pid_t child = fork();

	if (!child) {
		CHECK(pread(file, to, page, page) == page && !memcmp(to, from + page, page));
		_exit(0);
	}
	CHECK(waitpid(child, &got, 0) == child && got == 0);
	CHECK(!memcmp(from, to, size));
	CHECK(munmap(to, page) == 0 && pread(file, to, page, 0) == -1 && errno == EFAULT);
	munmap(from, size);
	munmap(to + page, size - page);
	close(file);
	unlink(name);
}

static void moves(void)
{
	char *memory = anonymous(64 * page, MAP_PRIVATE), *moved;

	for (int i = 0; i < 64; i++)
		memory[i * page] = i;
	moved = mremap(memory, 64 * page, 1024 * page, MREMAP_MAYMOVE);
	CHECK(moved != MAP_FAILED);
	for (int i = 0; i < 64; i++)
		CHECK(moved[i * page] == i);
	CHECK(moved[1000 * page] == 0);
	CHECK(madvise(moved, 32 * page, MADV_DONTNEED) == 0);
	for (int i = 0; i < 64; i++)
		CHECK(moved[i * page] == (i < 32 ? 0 : i));
	/* The same address again and again, with other content each time. */
	for (int i = 0; i < 300; i++) {
		char *again =
			mmap(moved, 4 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);

		CHECK(again == moved && again[page] == 0);
		again[page] = i + 1;
	}
	munmap(moved, 1024 * page);
}

static void much(void)
{
	size_t size = 96 << 20;
	unsigned long *memory = (unsigned long *)anonymous(size, MAP_PRIVATE);

	for (size_t i = 0; i < size / 8; i += 512)
		memory[i] = i * 0x9e3779b97f4a7c15UL;
	for (size_t i = 0; i < size / 8; i += 512)
		CHECK(memory[i] == i * 0x9e3779b97f4a7c15UL);
	munmap(memory, size);
	char *heap = sbrk(1 << 20);

	CHECK(heap != (void *)-1);
	memset(heap, 7, 1 << 20);
	CHECK(sbrk(-(1 << 20)) != (void *)-1);
}

static int deep(int depth)
{
	volatile char space[1024];

	space[0] = depth;
	return depth ? deep(depth - 1) + space[0] - (char)depth : 0;
}

int main(void)
{
	signal(SIGSEGV, on_fault);
	copy_on_write();
	protection();
	files();
	direct();
	moves();
	much();
	CHECK(deep(5000) == 0);
	puts("ok");
	return 0;
}
