// SPDX-License-Identifier: BSD-2-Clause
/*
 * Writes into a page of a machine's RAM as fast as it can: writer FILE KIND. FILE is QEMU's memory backend, shared;
 * KIND is the number in the mark of a program in the machine (tests/kernel/attack.c, tests/system/servers/guest.c),
 * which tells the page: at its start for kind 0, whose words are the page's last, else at its end. Writes until the
 * mark's second word goes, acknowledges that in the first, and ends by a signal only.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u
#define MARK 0xa77ac4ed00000000u
#define GONE (MARK | 0xfe)

/* Values that would do harm if L4 used them unchecked: x86 selectors and flags, addresses of kernel and user mode. */
static const uint64_t hostile[] = {
	0,
	1,
	2,
	4,
	8,
	0x10,
	0x2b,
	0x33,
	0x202,
	0x3202,
	0x7202,
	0x24fff,
	0x40302,
	0x3c5,
	0x3c4,
	0x6100,
	0x10000,
	0x10010,
	0x3000,
	0x7ff000,
	0x40000000,
	0x800000000000,
	0x7fffffffffff,
	0x7ffffffff000,
	0x8000000000000000,
	0xffff800000000000,
	0xffff800000200000,
	0xffffffff80200000,
	0xffffffff80201000,
	0xffffffc000000000,
	0xffffff8000000000,
	0xffff000000000000,
	0xffffffffffffffff,
	0xfffffffffffff000,
	0x100000007,
	0xfee00067,
};

static uint64_t next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Searches the part of the file that has data for the page with the mark of this kind. */
static uint8_t *find(uint8_t *ram, int file, uint64_t kind)
{
	unsigned offset = kind ? PAGE - 16 : 0;

	for (;;) {
		off_t start = 0, end;

		while ((start = lseek(file, start, SEEK_DATA)) >= 0) {
			end = lseek(file, start, SEEK_HOLE);
			for (off_t at = start & -(off_t)PAGE; at < end; at += PAGE) {
				volatile uint64_t *mark = (volatile uint64_t *)(ram + at + offset);

				if (mark[0] == MARK && mark[1] == (MARK | kind << 8)) {
					mark[0] = 0;
					return ram + at;
				}
			}
			start = end;
		}
		usleep(20000);
	}
}

int main(int argc, char **argv)
{
	uint64_t kind, state = 88172645463325252u;
	volatile uint64_t *page, *mark;
	unsigned first, count;
	uint8_t *ram;
	off_t size;
	int file;

	if (argc != 3) {
		fprintf(stderr, "usage: writer FILE KIND\n");
		return 2;
	}
	/* QEMU makes the file. */
	while ((file = open(argv[1], O_RDWR)) < 0 || (size = lseek(file, 0, SEEK_END)) <= 0) {
		if (file >= 0)
			close(file);
		usleep(20000);
	}
	ram = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	if (ram == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	kind = strtoul(argv[2], NULL, 10);
	page = (volatile uint64_t *)find(ram, file, kind);
	/* A register frame ends its page; the others begin theirs. The mark's own words stay. */
	first = kind ? 0 : 512 - 40;
	count = kind ? 510 : 40;
	mark = page + (kind ? 510 : 0);
	printf("writing\n");
	fflush(stdout);
	while (mark[1] == (MARK | kind << 8)) {
		uint64_t r = next(&state);
		uint64_t value = r >> 60 ? hostile[(r >> 32) % (sizeof(hostile) / sizeof(*hostile))] : next(&state);

		page[first + r % count] = value;
	}
	mark[0] = GONE;
	for (;;)
		pause();
}
