/* SPDX-License-Identifier: BSD-2-Clause */
/* Strings and buffers that reach the end of user space: a system call must fail, not stop at the end. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "check.h"

enum { page = 4096, name_max = 15 };
static const unsigned long tops[] = { 1UL << 48, 1UL << 47, (1UL << 47) - page, 1UL << 38 };
static char *end;

static void map_last_page(void)
{
	for (size_t i = 0; i < sizeof(tops) / sizeof(*tops) && !end; i++) {
		void *at = (void *)(tops[i] - page);

		if (mmap(at, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) ==
		    at)
			end = (char *)at + page;
	}
	CHECK(end);
	memset(end - page, 'n', page);
}

#define FAULTS(call) CHECK((call) == -1 && errno == EFAULT)

static void unterminated_strings(void)
{
	char folder[] = "/var/tmp/endXXXXXX", buffer[64];

	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	for (int length = 1; length < 200; length++) {
		char *string = end - length;

		FAULTS(mkdir(string, 0700));
		FAULTS(open(string, O_CREAT | O_RDWR, 0600));
		FAULTS(symlink(string, "a link"));
		FAULTS(symlink("somewhere", string));
		FAULTS(rename(string, "b"));
		FAULTS(setxattr(".", string, "v", 1, 0));
		FAULTS(getxattr(".", string, buffer, sizeof(buffer)));
		FAULTS(memfd_create(string, 0));
		FAULTS(execve(string, (char *[]){ string, NULL }, NULL));
		FAULTS(execve("/bin/true", (char *[]){ "true", string, NULL }, NULL));
		if (length < name_max)
			FAULTS(prctl(PR_SET_NAME, string));
	}
	struct dirent *entry;
	DIR *listing = opendir(".");

	CHECK(listing);
	while ((entry = readdir(listing)))
		CHECK(!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."));
	closedir(listing);
	CHECK(chdir("/") == 0 && rmdir(folder) == 0);
}

/* A string or buffer that ends with the last byte is in user space as a whole. */
static void whole_strings(void)
{
	char name[name_max + 1];
	pid_t child;
	int got;

	CHECK(prctl(PR_SET_NAME, end - name_max) == 0 && prctl(PR_GET_NAME, name) == 0);
	CHECK(!strcmp(name, "nnnnnnnnnnnnnnn"));
	strcpy(end - 6, "whole");
	CHECK(prctl(PR_SET_NAME, end - 6) == 0 && prctl(PR_GET_NAME, name) == 0 && !strcmp(name, "whole"));
	CHECK(close(memfd_create(end - 6, 0)) == 0);
	child = fork();
	if (!child) {
		execv("/bin/true", (char *[]){ "true", end - 6, NULL });
		_exit(1);
	}
	CHECK(waitpid(child, &got, 0) == child && got == 0);
}

static void buffers(void)
{
	int ends[2], file = open("/dev/zero", O_RDONLY);
	char back[8];

	CHECK(pipe(ends) == 0 && file >= 0);
	FAULTS(write(ends[1], end - 8, 9));
	FAULTS(write(ends[1], end, 1));
	FAULTS(read(file, end - 8, 9));
	CHECK(write(ends[1], end - 8, 8) == 8 && read(ends[0], back, 8) == 8 && !memcmp(back, end - 8, 8));
	CHECK(read(file, end - 8, 8) == 8);
}

int main(void)
{
	map_last_page();
	unterminated_strings();
	whole_strings();
	buffers();
	puts("ok");
	return 0;
}
