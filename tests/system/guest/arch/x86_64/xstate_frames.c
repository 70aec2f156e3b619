/* SPDX-License-Identifier: BSD-2-Clause */
/* Floating-point state in signal frames: what a handler finds, and what it may and may not put there. */
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

enum { mxcsr_at = 24, xmm5_at = 240, sw_at = 464, header_at = 512 };
enum {
	magic1,
	extended_size,
	xfeatures_low,
	xfeatures_high,
	xstate_size, /* words of the software's bytes */
};
enum {
	same,
	bv_reserved,
	bv_unknown,
	compacted,
	header_reserved,
	header_ignored,
	mxcsr_reserved,
	mxcsr_bare,
	no_state,
	unmapped,
	in_kernel,
	half,
	misaligned,
	no_magic1,
	no_magic2,
	size_huge,
	size_small,
	x87_only,
	x87_only_mxcsr,
	cases,
};
static const int survives[cases] = {
	[same] = 1,       [no_state] = 1, [no_magic1] = 1,      [no_magic2] = 1,      [size_huge] = 1,
	[size_small] = 1, [x87_only] = 1, [x87_only_mxcsr] = 1, [header_ignored] = 1,
};

static volatile int change;

/* Bytes of a stack for signals: the state, at its end, is in one page; it is in two. */
static const int sizes[] = { 3 * 4096, 3 * 4096 + 400 };

static char *new_pages(int count)
{
	char *pages = mmap(NULL, count * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	CHECK(pages != MAP_FAILED);
	return pages;
}

/* A frame whose state is elsewhere. */
static void move_state(mcontext_t *regs, const char *state, uint32_t size)
{
	char *pages;

	switch (change) {
	case no_state:
		regs->fpregs = NULL;
		break;
	case unmapped:
		regs->fpregs = (void *)4096;
		break;
	case in_kernel:
		regs->fpregs = (void *)0xffffffff81000000;
		break;
	case half:
		pages = new_pages(2);
		munmap(pages + 4096, 4096);
		memcpy(pages + 4096 - 512, state, 512);
		regs->fpregs = (void *)(pages + 4096 - 512);
		break;
	case misaligned:
		pages = new_pages(2);
		memcpy(pages + 8, state, size + 4);
		regs->fpregs = (void *)(pages + 8);
		break;
	}
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	mcontext_t *regs = &((ucontext_t *)context)->uc_mcontext;
	char *state = (char *)regs->fpregs;
	uint32_t *sw = (uint32_t *)(state + sw_at), size = sw[xstate_size];
	uint64_t *header = (uint64_t *)(state + header_at);

	(void)number;
	(void)info;
	if (sw[magic1] != 0x46505853 || *(uint32_t *)(state + size) != 0x46505845 || (uintptr_t)state % 64)
		_exit(100);
	/* A handler may change x87 and SSE registers without a look at the header. */
	if ((header[0] & 3) != 3)
		_exit(101);
	/* What the program had, and what it is to have. */
	if (*(uint64_t *)(state + xmm5_at) != 0x1234)
		_exit(102);
	*(uint64_t *)(state + xmm5_at) = 0x5678;
	switch (change) {
	case bv_reserved:
		header[0] |= 1UL << 62;
		break;
	case bv_unknown:
		header[0] |= 1UL << 19;
		break;
	case compacted:
		header[1] = 1UL << 63 | 7;
		break;
	case header_reserved:
		header[2] = 1;
		break;
	case header_ignored: /* by XRSTOR of the standard format */
		header[3] = 1;
		break;
	case mxcsr_bare:
		sw[magic1] = 0;
		/* fall through */
	case mxcsr_reserved:
		*(uint32_t *)(state + mxcsr_at) = ~0U;
		break;
	case no_magic1:
		sw[magic1] = 0;
		break;
	case no_magic2:
		*(uint32_t *)(state + size) = 0;
		break;
	case size_huge:
		sw[extended_size] = 8;
		break;
	case size_small:
		sw[xstate_size] = 8;
		break;
	case x87_only_mxcsr:
		*(uint32_t *)(state + mxcsr_at) = ~0U;
		/* fall through */
	case x87_only:
		sw[xfeatures_low] = 1;
		break;
	default:
		move_state(regs, state, size);
	}
}

/* The child that gets the signal. What does not load x87 and SSE state from the frame loads its initial value. */
static void get_signal(int size)
{
	int initial = change == no_state || change == x87_only || change == x87_only_mxcsr;
	stack_t stack = { .ss_sp = new_pages(4), .ss_size = size };
	uint64_t now;

	CHECK(sigaltstack(&stack, NULL) == 0);
	asm volatile("movq %0, %%xmm5" : : "r"(0x1234UL) : "xmm5");
	asm volatile("syscall" : "=a"(now) : "a"(SYS_tkill), "D"(getpid()), "S"(SIGUSR1) : "rcx", "r11", "memory");
	asm volatile("movq %%xmm5, %0" : "=r"(now));
	if (now != (initial ? 0 : 0x5678))
		_exit(103);
	sched_yield();
	_exit(0);
}

int main(void)
{
	struct rlimit none = { 0, 0 };
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	int got;

	CHECK(setrlimit(RLIMIT_CORE, &none) == 0 && sigaction(SIGUSR1, &action, NULL) == 0);
	for (int place = 0; place < 2; place++) {
		for (change = 0; change < cases; change++) {
			pid_t child = fork();

			if (!child)
				get_signal(sizes[place]);
			CHECK(waitpid(child, &got, 0) == child);
			if (got != (survives[change] ? 0 : SIGSEGV))
				fprintf(stderr, "case %d, place %d: status %x\n", change, place, got);
			CHECK(got == (survives[change] ? 0 : SIGSEGV));
		}
	}
	puts("ok");
	return 0;
}
