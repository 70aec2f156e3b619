/* SPDX-License-Identifier: BSD-2-Clause */
/* What the kernel reads and writes of a program at the edges of its pages: nothing beyond them, and all before. */
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { page = 4096, longest = 40, mark = 0x5a };
#define FAULTS(call) CHECK((call) == -1 && errno == EFAULT)

static char self[] = "/proc/self/exe";

/* Returns the end of a page that nobody has touched, behind which there is another one or none to be accessed. */
static char *fresh_end(int rights_behind)
{
	char *memory = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(memory != MAP_FAILED && mprotect(memory + page, page, rights_behind) == 0);
	return memory + page;
}

static void release(char *end) { CHECK(munmap(end - page, 2 * page) == 0); }

/* Strings of all lengths that end with the last byte of a page, and such without an end. */
static void strings(void)
{
	char *end = fresh_end(PROT_NONE), name[16];

	for (int length = 0; length < longest; length++) {
		char *string = end - length - 1;

		memset(string, 'n', length);
		end[-1] = 0;
		CHECK(open(string, O_RDONLY) == -1 && errno == ENOENT);
		CHECK(prctl(PR_SET_NAME, string) == 0 && prctl(PR_GET_NAME, name) == 0);
		CHECK(strlen(name) == (size_t)(length < 15 ? length : 15) && strspn(name, "n") == strlen(name));
		end[-1] = 'n';
		FAULTS(open(string, O_RDONLY));
	}
	release(end);
	end = fresh_end(PROT_NONE);
	CHECK(open(end - 1, O_RDONLY) == -1 && errno == ENOENT); /* never touched: an empty string */
	FAULTS(open(end, O_RDONLY));
	release(end);
}

/* The same strings over two pages, as arguments of a program, which looks at them: see arguments(). */
static void passed(int rights_behind, int behind)
{
	char *argv[longest + 3] = { self, "arguments" }, *ends[longest];
	pid_t child;
	int got;

	for (int length = 0; length < longest; length++) {
		char *end = ends[length] = fresh_end(PROT_READ | PROT_WRITE);
		char *string = end - length - 1 + (length < behind ? length : behind);

		for (int i = 0; i < length; i++)
			string[i] = 'a' + i % 26;
		string[length] = 0;
		CHECK(mprotect(end, page, rights_behind) == 0);
		argv[length + 2] = string;
	}
	child = fork();
	if (!child) {
		execv(self, argv);
		_exit(2);
	}
	CHECK(child > 0 && waitpid(child, &got, 0) == child && got == 0);
	for (int length = 0; length < longest; length++)
		release(ends[length]);
}

static int arguments(int count, char **argv)
{
	CHECK(count == longest + 2);
	for (int length = 0; length < longest; length++) {
		CHECK(strlen(argv[length + 2]) == (size_t)length);
		for (int i = 0; i < length; i++)
			CHECK(argv[length + 2][i] == 'a' + i % 26);
	}
	return 0;
}

/* Single words over the end of a page: the int of FIONREAD is written, the offset of sendfile() read and written. */
static void words(void)
{
	int file = open(self, O_RDONLY), null = open("/dev/null", O_WRONLY), ends[2];

	CHECK(file >= 0 && null >= 0 && pipe(ends) == 0 && write(ends[1], "five!", 5) == 5);
	for (int before = 0; before <= 8; before++) {
		char *end = fresh_end(PROT_READ | PROT_WRITE);
		int waiting = 0;
		off_t offset = 100;

		CHECK(ioctl(ends[0], FIONREAD, end - before) == 0);
		memcpy(&waiting, end - before, sizeof(waiting));
		CHECK(waiting == 5 && end[4 - before] == 0);
		memcpy(end - before, &offset, sizeof(offset));
		CHECK(sendfile(null, file, (off_t *)(end - before), 10) == 10);
		memcpy(&offset, end - before, sizeof(offset));
		CHECK(offset == 110);
		CHECK(mprotect(end, page, PROT_NONE) == 0);
		if (before < (int)sizeof(waiting))
			FAULTS(ioctl(ends[0], FIONREAD, end - before));
		if (before < (int)sizeof(offset))
			FAULTS(sendfile(null, file, (off_t *)(end - before), 10));
		CHECK(mprotect(end - page, page, PROT_READ) == 0);
		FAULTS(ioctl(ends[0], FIONREAD, end - page));
		release(end);
	}
	CHECK(close(file) == 0 && close(null) == 0 && close(ends[0]) == 0 && close(ends[1]) == 0);
}

/* Blocks that reach into a page without access: what is before it is written, and no byte more than was asked for. */
static void blocks(void)
{
	int file = open(self, O_RDONLY);
	char image[3 * page];

	CHECK(file >= 0 && pread(file, image, sizeof(image), 0) == sizeof(image));
	for (int length = 0; length < longest; length++) {
		char *end = fresh_end(PROT_READ | PROT_WRITE), *start = end - 20;

		memset(end - page, mark, 2 * page);
		CHECK(pread(file, start, length, 0) == length && !memcmp(start, image, length));
		CHECK(start[-1] == mark && start[length] == mark);
		CHECK(mprotect(end, page, PROT_NONE) == 0);
		if (length > 20)
			CHECK(pread(file, start, length, 0) == 20 && !memcmp(start, image, 20));
		release(end);
	}
	CHECK(read(file, (void *)page, 0) == 0 && write(1, (void *)page, 0) == 0);
	FAULTS(read(file, (void *)page, 1));
	CHECK(close(file) == 0);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return arguments(argc, argv);
	strings();
	passed(PROT_NONE, 0);
	passed(PROT_READ, longest);
	passed(PROT_READ, 4);
	words();
	blocks();
	puts("ok");
	return 0;
}
