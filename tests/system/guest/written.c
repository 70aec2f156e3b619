// SPDX-License-Identifier: BSD-2-Clause
/*
 * Which pages a program has written, by soft-dirty bits and by userfaultfd: for small and huge pages, after a write by
 * the program and by the kernel, through fork, mprotect, and the split of a huge page.
 */
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

#define PAGE  4096UL
#define HUGE  (2UL << 20)
#define PAGES (HUGE / PAGE)

static char *map(bool huge)
{
	char *whole = mmap(NULL, 2 * HUGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)whole + HUGE - 1) & ~(HUGE - 1));

	CHECK(whole != MAP_FAILED);
	madvise(at, HUGE, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
	memset(at, 1, HUGE);
	return at;
}

static void put(const char *path, const char *text)
{
	int file = open(path, O_WRONLY);

	CHECK(file >= 0 && write(file, text, strlen(text)) == (ssize_t)strlen(text));
	close(file);
}

/* Returns a bit of the page's entry in /proc/self/pagemap. */
static bool bit(const char *page, unsigned int number)
{
	int file = open("/proc/self/pagemap", O_RDONLY);
	uint64_t entry;

	CHECK(file >= 0 && pread(file, &entry, 8, (uintptr_t)page / PAGE * 8) == 8);
	close(file);
	return entry >> number & 1;
}

static void write_byte(char *byte, char value) { *(volatile char *)byte = value; }

#define SOFT_DIRTY 55
#define UFFD_WP    57

static unsigned int count(const char *from, unsigned int number)
{
	unsigned int found = 0;

	for (unsigned int i = 0; i < PAGES; i++)
		found += bit(from + i * PAGE, number);
	return found;
}

/* The kernel writes to the byte, as by read(). */
static void let_kernel_write(char *byte)
{
	int zero = open("/dev/zero", O_RDONLY);

	CHECK(zero >= 0 && read(zero, byte, 1) == 1);
	close(zero);
}

static void test_soft_dirty(bool huge)
{
	char *at = map(huge);

	CHECK(count(at, SOFT_DIRTY) == PAGES);
	put("/proc/self/clear_refs", "4");
	CHECK(count(at, SOFT_DIRTY) == 0);
	CHECK(*(volatile char *)at == 1 && !bit(at, SOFT_DIRTY));
	write_byte(at + 3 * PAGE, 2);
	CHECK(bit(at + 3 * PAGE, SOFT_DIRTY) && (huge || count(at, SOFT_DIRTY) == 1));
	put("/proc/self/clear_refs", "4");
	let_kernel_write(at + 5 * PAGE);
	CHECK(bit(at + 5 * PAGE, SOFT_DIRTY) && !(!huge && bit(at + 3 * PAGE, SOFT_DIRTY)));
	put("/proc/self/clear_refs", "4");
	/* A huge page is split. Linux takes the parts of one that was ever written for written, on every CPU. */
	CHECK(!mprotect(at, PAGE, PROT_READ) && !mprotect(at, PAGE, PROT_READ | PROT_WRITE));
	write_byte(at + 9 * PAGE, 2);
	CHECK(bit(at + 9 * PAGE, SOFT_DIRTY));
	if (!fork()) {
		write_byte(at + 11 * PAGE, 2);
		_exit(bit(at + 11 * PAGE, SOFT_DIRTY) ? 0 : 1);
	}
	int status;

	CHECK(wait(&status) > 0 && status == 0);
	CHECK(huge || !bit(at + 11 * PAGE, SOFT_DIRTY));
	munmap(at, HUGE);
}

static int uffd;
static volatile unsigned int events;

static void protect(char *at, unsigned long bytes, bool on)
{
	struct uffdio_writeprotect what = { .range = { (uintptr_t)at, bytes },
	                                    .mode = on ? UFFDIO_WRITEPROTECT_MODE_WP : 0 };

	CHECK(!ioctl(uffd, UFFDIO_WRITEPROTECT, &what));
}

/* Lets each write go on, and counts them. */
static void *answer(void *unused)
{
	struct uffd_msg message;

	(void)unused;
	while (read(uffd, &message, sizeof(message)) == sizeof(message)) {
		CHECK(message.event == UFFD_EVENT_PAGEFAULT);
		CHECK(message.arg.pagefault.flags & UFFD_PAGEFAULT_FLAG_WP);
		events++;
		protect((char *)(uintptr_t)(message.arg.pagefault.address & ~(PAGE - 1)), PAGE, false);
	}
	return NULL;
}

static void test_userfaultfd(bool huge)
{
	char *at = map(huge);
	struct uffdio_register range = { .range = { (uintptr_t)at, HUGE }, .mode = UFFDIO_REGISTER_MODE_WP };

	CHECK(!ioctl(uffd, UFFDIO_REGISTER, &range));
	events = 0;
	protect(at, HUGE, true);
	CHECK(count(at, UFFD_WP) == PAGES && *(volatile char *)at == 1 && events == 0);
	write_byte(at + 3 * PAGE, 2);
	CHECK(events == 1 && at[3 * PAGE] == 2 && count(at, UFFD_WP) == PAGES - 1);
	write_byte(at + 3 * PAGE, 3);
	CHECK(events == 1);
	let_kernel_write(at + 5 * PAGE);
	CHECK(events == 2 && count(at, UFFD_WP) == PAGES - 2);
	/* The protection stays when rights come back. */
	CHECK(!mprotect(at, HUGE, PROT_READ) && !mprotect(at, HUGE, PROT_READ | PROT_WRITE));
	write_byte(at + 7 * PAGE, 2);
	CHECK(events == 3 && count(at, UFFD_WP) == PAGES - 3);
	int status;

	if (!fork()) {
		write_byte(at + 9 * PAGE, 2); /* the child is not watched */
		_exit(0);
	}
	CHECK(wait(&status) > 0 && status == 0 && events == 3);
	write_byte(at + 11 * PAGE, 2);
	CHECK(events == 4 && at[9 * PAGE] == 1);
	CHECK(!ioctl(uffd, UFFDIO_UNREGISTER, &range.range) && count(at, UFFD_WP) == 0);
	write_byte(at + 13 * PAGE, 2);
	CHECK(events == 4);
	munmap(at, HUGE);
}

int main(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_PAGEFAULT_FLAG_WP };
	pthread_t thread;

	/* Linux turns them off where it has less than 512 MiB. */
	put("/sys/kernel/mm/transparent_hugepage/enabled", "madvise");
	test_soft_dirty(false);
	test_soft_dirty(true);
	uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	CHECK(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api));
	CHECK(!pthread_create(&thread, NULL, answer, NULL));
	test_userfaultfd(false);
	test_userfaultfd(true);
	puts("ok");
	return 0;
}
