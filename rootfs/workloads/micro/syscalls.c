/* SPDX-License-Identifier: BSD-2-Clause */
/* System calls that do little, for which the way in and out counts, and one that looks at many descriptors. */
#include <fcntl.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "micro.h"

static int64_t run_getppid(int count) { TIMED(count, syscall(SYS_getppid)); }

static int64_t on_device(const char *path, int flags, int reads, int count)
{
	char byte = 0;
	int file = open(path, flags);
	int64_t start;

	must(file >= 0, path);
	start = begin();
	for (int i = 0; i < count; i++)
		must((reads ? read(file, &byte, 1) : write(file, &byte, 1)) == 1, path);
	start = since(start);
	close(file);
	return start;
}

static int64_t run_read(int count) { return on_device("/dev/zero", O_RDONLY, 1, count); }

static int64_t run_write(int count) { return on_device("/dev/null", O_WRONLY, 0, count); }

static int64_t run_stat(int count)
{
	struct stat found;

	TIMED(count, must(!stat("/dev/zero", &found), "stat"));
}

static int64_t run_open_close(int count) { TIMED(count, must(!close(open("/dev/zero", O_RDONLY)), "open")); }

/* Ask for 100 descriptors, of which all are ready. */
static int64_t run_select(int count)
{
	int files[100];
	int64_t took;
	fd_set set;

	for (int i = 0; i < 100; i++)
		must((files[i] = open("/dev/zero", O_RDONLY)) >= 0, "/dev/zero");
	took = begin();
	for (int i = 0; i < count; i++) {
		FD_ZERO(&set);
		for (int k = 0; k < 100; k++)
			FD_SET(files[k], &set);
		must(select(files[99] + 1, &set, NULL, NULL, NULL) == 100, "select");
	}
	took = since(took);
	for (int i = 0; i < 100; i++)
		close(files[i]);
	return took;
}

const struct operation syscall_operations[] = {
	{ "getppid", 1500, run_getppid },
	{ "read", 1500, run_read },
	{ "write", 1500, run_write },
	{ "stat", 900, run_stat },
	{ "open-close", 600, run_open_close },
	{ "select-100", 240, run_select },
	{ 0 },
};
