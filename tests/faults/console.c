/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Numbered lines both ways on the guest's console.
 *
 * Out, every few milliseconds: "seq N in M TEXT", TEXT derived from N, M the number of lines that came in. In:
 * "in N TEXT". What came in and is not the line that was due is told as "bad WANTED GOT"; the next line is due after
 * it. Ends when standard input (not the console) ends.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define PACE_MS 10
#define TEXT    32

static void text(char *to, unsigned long n)
{
	unsigned int i, x = (unsigned int)n * 2654435761U + 12345;

	for (i = 0; i < TEXT; i++) {
		x = x * 1664525 + 1013904223;
		to[i] = (char)('a' + (x >> 24) % 26);
	}
	to[TEXT] = 0;
}

static void put(int line, const char *from)
{
	size_t left = strlen(from);
	ssize_t n;

	while (left && (n = write(line, from, left)) > 0) {
		from += n;
		left -= (size_t)n;
	}
}

int main(void)
{
	char buffer[4096], want[128], out[512], random[TEXT + 1], byte;
	unsigned long sequence = 0, received = 0, due = 0;
	int line = open("/dev/hvc0", O_RDWR | O_NOCTTY);
	struct pollfd polls[2] = { { .fd = line, .events = POLLIN }, { .fd = 0, .events = POLLIN } };
	struct termios mode;
	size_t have = 0;
	ssize_t got;
	char *end;

	if (line < 0 || tcgetattr(line, &mode)) {
		perror("error /dev/hvc0");
		return 1;
	}
	cfmakeraw(&mode);
	tcsetattr(line, TCSANOW, &mode);
	/* Somebody's prompt may be without an end. */
	put(line, "\n");
	for (;;) {
		poll(polls, 2, PACE_MS);
		if ((polls[1].revents & (POLLIN | POLLHUP)) && read(0, &byte, 1) <= 0)
			break;
		if (polls[0].revents & POLLIN) {
			got = read(line, buffer + have, sizeof(buffer) - 1 - have);
			have += got > 0 ? (size_t)got : 0;
			buffer[have] = 0;
			while ((end = strchr(buffer, '\n'))) {
				*end++ = 0;
				text(random, due);
				snprintf(want, sizeof(want), "in %lu %s", due, random);
				if (strcmp(want, buffer)) {
					snprintf(out, sizeof(out), "bad %.100s | %.100s\n", want, buffer);
					put(line, out);
					if (sscanf(buffer, "in %lu ", &due) != 1)
						due++;
				}
				due++;
				received++;
				have -= (size_t)(end - buffer);
				memmove(buffer, end, have + 1);
			}
			if (have == sizeof(buffer) - 1)
				have = 0;
		}
		text(random, sequence);
		snprintf(out, sizeof(out), "seq %lu in %lu %s\n", sequence, received, random);
		put(line, out);
		sequence++;
	}
	return 0;
}
