/* SPDX-License-Identifier: BSD-2-Clause */
/* Pointers with a tag in the bits that the CPU ignores: loads, faults, signals, and the tagged address ABI. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "isa.h"

#ifndef PR_SET_TAGGED_ADDR_CTRL
#define PR_SET_TAGGED_ADDR_CTRL 55
#define PR_GET_TAGGED_ADDR_CTRL 56
#define PR_TAGGED_ADDR_ENABLE   1UL
#endif
#define EXPOSE_TAGBITS 0x800 /* SA_EXPOSE_TAGBITS */

enum { page = 4096 };
static sigjmp_buf back;
static void *volatile fault_at;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	fault_at = info->si_addr;
	siglongjmp(back, 1);
}

static char *tagged(char *pointer, unsigned long tag)
{
	return (char *)((unsigned long)pointer | ((tag << 56) & isa_ignored_bits));
}

static void *fault_of(volatile char *pointer, int flags)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | flags };

	fault_at = NULL;
	CHECK(sigaction(SIGSEGV, &action, NULL) == 0);
	if (!sigsetjmp(back, 1)) {
		*pointer = 1;
		CHECK(!"no fault");
	}
	return fault_at;
}

static void the_cpu_ignores_them(char *memory)
{
	char *fresh = memory + page, *gone = memory + 2 * page;

	strcpy(tagged(memory, 0xa5), "tagged");
	CHECK(!strcmp(memory, "tagged") && !strcmp(tagged(memory, 1), "tagged"));
	tagged(fresh, 0x80)[9] = 3;
	CHECK(fresh[9] == 3);
	CHECK(munmap(gone, page) == 0);
	CHECK(fault_of(tagged(gone, 0x7e) + 5, 0) == gone + 5);
	CHECK(fault_of(tagged(gone, 0x7e) + 5, EXPOSE_TAGBITS) == tagged(gone, 0x7e) + 5);
	CHECK(fault_of(tagged(gone, 0xff) + 5, EXPOSE_TAGBITS) == tagged(gone, 0xff) + 5);
}

static void calls_refuse_them(char *memory)
{
	int ends[2];

	CHECK(pipe(ends) == 0);
	CHECK(write(ends[1], tagged(memory, 0xa5), 6) == -1 && errno == EFAULT);
	CHECK(access(tagged(memory, 0xa5), F_OK) == -1 && errno == EFAULT);
	close(ends[0]);
	close(ends[1]);
}

static void calls_take_them(char *memory)
{
	char *pointer = tagged(memory, 0xa5), bytes[8];
	int ends[2], zero = open("/dev/zero", O_RDONLY);
	struct iovec vector = { pointer, 6 };

	CHECK(pipe(ends) == 0 && zero >= 0);
	CHECK(write(ends[1], pointer, 6) == 6 && read(ends[0], tagged(bytes, 3), 6) == 6 &&
	      !memcmp(bytes, "tagged", 6));
	CHECK(writev(ends[1], &vector, 1) == 6 && read(ends[0], bytes, 6) == 6);
	CHECK(access(pointer, F_OK) == -1 && errno == ENOENT);
	/* Pages that are not there yet, and that are shared with a child. */
	CHECK(read(zero, tagged(memory + 3 * page, 9), 2 * page) == 2 * page);
	CHECK(syscall(SYS_futex, pointer + 64, 0, 4, NULL, NULL, 0) == -1 && errno == EAGAIN);
	CHECK(madvise(pointer, page, MADV_WILLNEED) == 0 && mprotect(pointer, page, PROT_READ) == 0);
	CHECK(mprotect(pointer, page, PROT_READ | PROT_WRITE) == 0 && mlock(pointer, page) == 0);
	/* Beyond user space, whatever the tag. */
	CHECK(write(ends[1], tagged((char *)(1UL << 55), 0xa5), 1) == -1 && errno == EFAULT);
	CHECK(write(ends[1], (char *)0xff80000000000000, 1) == -1 && errno == EFAULT);
	CHECK(write(ends[1], (char *)0xffff000000000000, 1) == -1 && errno == EFAULT);
	close(ends[0]);
	close(ends[1]);
	close(zero);
}

static int wanted_after_exec(char *self)
{
	pid_t child = fork();
	int got;

	if (!child) {
		if (prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) != (long)PR_TAGGED_ADDR_ENABLE)
			_exit(2);
		execl(self, self, "after exec", NULL);
		_exit(3);
	}
	CHECK(waitpid(child, &got, 0) == child && WIFEXITED(got));
	return WEXITSTATUS(got);
}

int main(int argc, char **argv)
{
	char *memory = mmap(NULL, 8 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (argc > 1)
		return prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) != 0;
	CHECK(memory != MAP_FAILED);
	the_cpu_ignores_them(memory);
	if (isa_ignored_bits) {
		calls_refuse_them(memory);
		CHECK(prctl(PR_SET_TAGGED_ADDR_CTRL, 2, 0, 0, 0) == -1 && errno == EINVAL);
		CHECK(prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) == 0);
		CHECK(prctl(PR_GET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == (long)PR_TAGGED_ADDR_ENABLE);
		calls_take_them(memory);
		CHECK(wanted_after_exec(argv[0]) == 0);
		CHECK(prctl(PR_SET_TAGGED_ADDR_CTRL, 0, 0, 0, 0) == 0);
		calls_refuse_them(memory);
	} else {
		CHECK(prctl(PR_SET_TAGGED_ADDR_CTRL, PR_TAGGED_ADDR_ENABLE, 0, 0, 0) == -1 && errno == EINVAL);
	}
	puts("ok");
	return 0;
}
