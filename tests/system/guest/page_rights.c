/* SPDX-License-Identifier: BSD-2-Clause */
/* Each set of PROT_ bits: what the program, and what the kernel for it, may do with the page. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>

#include "check.h"
#include "isa.h"

enum { page = 4096 };
static sigjmp_buf back;

static void on_fault(int number)
{
	(void)number;
	siglongjmp(back, 1);
}

static int reads(volatile char *at)
{
	if (sigsetjmp(back, 1))
		return 0;
	(void)*at;
	return 1;
}

static int writes(volatile char *at)
{
	if (sigsetjmp(back, 1))
		return 0;
	*at = 1;
	return 1;
}

static int runs(char *at)
{
	if (sigsetjmp(back, 1))
		return 0;
	((void (*)(void))at)();
	return 1;
}

/* touched: the page has been filled before it gets its rights. */
static void check_rights(int flags, int touched, int prot)
{
	char *memory = mmap(NULL, page, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0), byte;
	int readable = prot && (isa_code_is_readable || prot != PROT_EXEC), ends[2], zero = open("/dev/zero", O_RDONLY);

	CHECK(memory != MAP_FAILED && pipe(ends) == 0 && zero >= 0);
	if (touched) {
		memcpy(memory, isa_return, sizeof(isa_return));
		__builtin___clear_cache(memory, memory + sizeof(isa_return));
	}
	CHECK(mprotect(memory, page, prot) == 0);
	for (int round = 0; round < 3; round++) {
		if (touched)
			CHECK(runs(memory) == !!(prot & PROT_EXEC));
		CHECK(reads(memory) == readable);
		CHECK((write(ends[1], memory, 1) == 1) == readable);
		CHECK(writes(memory + 64) == !!(prot & PROT_WRITE));
		CHECK((read(zero, memory + 128, 1) == 1) == !!(prot & PROT_WRITE));
	}
	/* A debugger may write by the mapping's rights, whatever the page's are. */
	CHECK((process_vm_readv(getpid(), &(struct iovec){ &byte, 1 }, 1, &(struct iovec){ memory, 1 }, 1, 0) == 1) ==
	      !!(prot & PROT_READ));
	CHECK(mprotect(memory, page, PROT_READ | PROT_WRITE) == 0 && reads(memory) && writes(memory));
	munmap(memory, page);
	close(ends[0]);
	close(ends[1]);
	close(zero);
}

int main(void)
{
	signal(SIGSEGV, on_fault);
	for (int prot = 0; prot < 8; prot++)
		for (int touched = 0; touched < 2; touched++) {
			check_rights(MAP_PRIVATE, touched, prot);
			check_rights(MAP_SHARED, touched, prot);
		}
	puts("ok");
	return 0;
}
