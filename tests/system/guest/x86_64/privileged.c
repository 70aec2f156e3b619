/* SPDX-License-Identifier: BSD-2-Clause */
/* A hostile program: touches kernel addresses, executes privileged instructions, jumps out of user space. All of it
 * must end in a signal to this program and in nothing else. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static sigjmp_buf back;
static volatile int caught;

static void on_signal(int number)
{
	caught = number;
	siglongjmp(back, 1);
}

#define REFUSED(what, statement) do { \
	caught = 0; \
	if (!sigsetjmp(back, 1)) { \
		statement; \
		fprintf(stderr, "%s was allowed\n", what); \
		exit(1); \
	} \
	CHECK(caught == SIGSEGV || caught == SIGILL || caught == SIGBUS); \
} while (0)

static const unsigned long addresses[] = {
	0x10000000, 0x10001000,				/* the guest kernel's vCPU page and UTCB */
	0x40100000, 0x40110000, 0x40200000, 0x40300000,	/* guest RAM in the guest kernel's linear map */
	0x7fffffffe000 + 0x1000, 0x800000000000,	/* the edge of user space */
	0xffff800000000000, 0xffffffff80000000, 0xffffffff80100000, 0xfffffffffffff000, 0xfee00000 + (0xffffffUL << 40),
};

/*
 * QEMU before 9 reads the stack of a user's iretq with the supervisor's rights: where SMAP is on, that faults for
 * ever, and no kernel can help. So it is enough that the program can be stopped.
 */
static void iret_to_ring_0(void)
{
	pid_t child = fork();
	int got;

	if (!child) {
		for (int i = 1; i < NSIG; i++)
			signal(i, SIG_DFL);
		asm volatile("push $0; push $0; push $0x202; push $8; push $0; iretq");
		_exit(0);
	}
	usleep(300000);
	kill(child, SIGKILL);
	CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got));
}

int main(void)
{
	static const struct { unsigned offset; unsigned short selector; } code32 = { 0x1000, 0x23 };
	static const int signals[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

	CHECK(sigaltstack(&stack, NULL) == 0);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		CHECK(sigaction(signals[i], &action, NULL) == 0);
	for (unsigned i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		char *address = (char *)addresses[i];

		REFUSED("reading a kernel address", (void)*(volatile char *)address);
		REFUSED("writing a kernel address", *(volatile char *)address = 1);
		REFUSED("jumping to a kernel address", ((void (*)(void))address)());
	}
	REFUSED("cli", asm volatile("cli"));
	REFUSED("sti", asm volatile("sti"));
	REFUSED("hlt", asm volatile("hlt"));
	REFUSED("reading cr3", asm volatile("mov %%cr3, %%rax" ::: "rax"));
	REFUSED("writing cr3", asm volatile("mov %0, %%cr3" :: "r"(0UL)));
	REFUSED("writing cr4", asm volatile("mov %0, %%cr4" :: "r"(0UL)));
	REFUSED("wrmsr", asm volatile("wrmsr" :: "c"(0xc0000082), "a"(0), "d"(0)));
	REFUSED("rdmsr", asm volatile("rdmsr" :: "c"(0xc0000082) : "eax", "edx"));
	REFUSED("in", asm volatile("inb $0x64, %%al" ::: "eax"));
	REFUSED("out", asm volatile("outb %%al, $0x64" :: "a"(0xfe)));
	REFUSED("invlpg", asm volatile("invlpg (%0)" :: "r"(main)));
	REFUSED("swapgs", asm volatile("swapgs"));
	REFUSED("sysret", asm volatile("sysretq"));
	REFUSED("wbinvd", asm volatile("wbinvd"));
	REFUSED("lgdt", asm volatile("lgdt (%%rsp)" ::: "memory"));
	REFUSED("an undefined instruction", asm volatile("ud2"));
	REFUSED("an unused interrupt", asm volatile("int $0x42"));
	REFUSED("a 32-bit code segment", asm volatile("ljmpl *%0" :: "m"(code32)));
	iret_to_ring_0();
	/* Children that die of it, to show that a default action works as well. */
	for (int i = 0; i < 3; i++) {
		pid_t child = fork();
		int got;

		if (!child) {
			signal(SIGSEGV, SIG_DFL);
			signal(SIGILL, SIG_DFL);
			if (i == 0)
				*(volatile char *)0xffffffff80000000 = 1;
			if (i == 1)
				asm volatile("hlt");
			if (i == 2)
				asm volatile("ud2");
			_exit(0);
		}
		CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got));
		CHECK(WTERMSIG(got) == (i == 2 ? SIGILL : SIGSEGV));
	}
	puts("ok");
	return 0;
}
