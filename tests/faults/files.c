/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Makes, names, appends to and removes files in a folder; none of it may happen twice, or not at all.
 *
 *     files FOLDER
 *
 * Standard output: "ops N" as long as it goes on; "error TEXT" for what the system refused, "wrong TEXT" for content
 * that is not what it must be. When standard input ends: "final N", the number of lines in FOLDER/log, and the end.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LARGE 300000 /* bytes: several requests */
#define LINE  10     /* bytes of a line in the log */

static void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprintf(format, args);
	putchar('\n');
	fflush(stdout);
	va_end(args);
}

/* Tell of what failed; returns the result. */
static long must(const char *what, unsigned long turn, long result)
{
	if (result < 0)
		say("error %s in turn %lu: %s", what, turn, strerror(errno));
	return result;
}

static unsigned char byte_of(unsigned long turn, size_t at)
{
	return (unsigned char)((turn * 2654435761U + at * 40503U) >> 8);
}

/* A file that stays open after its name is gone, so that only the number that stands for it is left. */
static int nameless(void)
{
	int file = (int)must("open of a nameless file", 0, open("nameless", O_RDWR | O_CREAT | O_EXCL, 0600));

	must("unlink of a nameless file", 0, unlink("nameless"));
	return file;
}

static void check_nameless(int file, unsigned long turn)
{
	unsigned long got = 0;

	if (must("write of a nameless file", turn, pwrite(file, &turn, sizeof(turn), 0)) == sizeof(turn) &&
	    must("read of a nameless file", turn, pread(file, &got, sizeof(got), 0)) == sizeof(got) && got != turn)
		say("wrong nameless file: %lu where %lu is due", got, turn);
}

static void append(int log, unsigned long turn)
{
	char line[LINE + 1];

	snprintf(line, sizeof(line), "%09lu\n", turn);
	if (must("append", turn, write(log, line, LINE)) != LINE)
		say("error append of turn %lu is short", turn);
}

/* Names: each step fails if it happens twice. */
static void rename_around(unsigned long turn)
{
	int file = (int)must("creation", turn, open("a", O_WRONLY | O_CREAT | O_EXCL, 0600));

	if (file >= 0)
		close(file);
	must("link", turn, link("a", "b"));
	must("mkdir", turn, mkdir("folder", 0700));
	must("rename", turn, rename("a", "folder/a"));
	must("symlink", turn, symlink("folder/a", "c"));
	must("unlink of a link", turn, unlink("c"));
	must("unlink", turn, unlink("folder/a"));
	must("unlink of the other name", turn, unlink("b"));
	must("rmdir", turn, rmdir("folder"));
}

static void large_file(unsigned char *buffer, unsigned long turn)
{
	int file = (int)must("open", turn, open("large", O_RDWR | O_CREAT | O_TRUNC, 0600));
	size_t i;

	if (file < 0)
		return;
	for (i = 0; i < LARGE; i++)
		buffer[i] = byte_of(turn, i);
	if (must("write", turn, pwrite(file, buffer, LARGE, 0)) != LARGE)
		say("error write of turn %lu is short", turn);
	memset(buffer, 0, LARGE);
	if (must("read", turn, pread(file, buffer, LARGE, 0)) != LARGE)
		say("error read of turn %lu is short", turn);
	for (i = 0; i < LARGE && buffer[i] == byte_of(turn, i); i++)
		;
	if (i < LARGE)
		say("wrong byte %zu of a file in turn %lu", i, turn);
	close(file);
}

int main(int argc, char **argv)
{
	struct pollfd input = { .fd = 0, .events = POLLIN };
	unsigned char *buffer = malloc(LARGE);
	unsigned long turn;
	int log, kept;
	char byte;

	if (argc != 2 || !buffer)
		return 2;
	if (chdir(argv[1])) {
		say("error chdir %s: %s", argv[1], strerror(errno));
		return 1;
	}
	log = open("log", O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
	kept = nameless();
	for (turn = 0; poll(&input, 1, 0) <= 0 || read(0, &byte, 1) > 0; turn++) {
		append(log, turn);
		check_nameless(kept, turn);
		rename_around(turn);
		if (turn % 4 == 0)
			large_file(buffer, turn);
		say("ops %lu", turn + 1);
	}
	say("final %lu", turn);
	return 0;
}
