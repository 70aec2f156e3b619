/* SPDX-License-Identifier: BSD-2-Clause */
/* A hostile program: touches kernel addresses, executes privileged instructions, jumps out of user space, asks for
 * privilege by a signal frame. All of it must end in a signal to this program and in nothing else. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "isa.h"

static sigjmp_buf back;
static volatile int caught;

static void on_signal(int number)
{
	caught = number;
	siglongjmp(back, 1);
}

#define REFUSED(what, want, statement)                                                        \
	do {                                                                                  \
		caught = 0;                                                                   \
		if (!sigsetjmp(back, 1)) {                                                    \
			statement;                                                            \
			fprintf(stderr, "%s was allowed\n", what);                            \
			exit(1);                                                              \
		}                                                                             \
		if (caught != (want)) {                                                       \
			fprintf(stderr, "%s: signal %d instead of %d\n", what, caught, want); \
			exit(1);                                                              \
		}                                                                             \
	} while (0);

#define REFUSED_ASM(what, want, text) REFUSED(what, want, asm volatile(text:: : ISA_CLOBBERS))

static void addresses(void)
{
	int zero = open("/dev/zero", O_RDONLY), ends[2];

	CHECK(zero >= 0 && pipe(ends) == 0);
	for (unsigned i = 0; i < sizeof(isa_addresses) / sizeof(isa_addresses[0]); i++) {
		char *volatile address = (char *)isa_addresses[i];

		REFUSED("reading a kernel address", SIGSEGV, (void)*(volatile char *)address)
		REFUSED("writing a kernel address", SIGSEGV, *(volatile char *)address = 1)
		REFUSED("jumping to a kernel address", SIGSEGV, ((void (*)(void))address)())
		CHECK(read(zero, address, 1) == -1 && errno == EFAULT);
		CHECK(read(zero, address - 1, 4096) == -1 ? errno == EFAULT : 1);
		CHECK(write(ends[1], address, 1) == -1 && errno == EFAULT);
	}
}

static void on_user(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	isa_ask_privilege(context);
}

static void on_user_away(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)info;
	isa_set_context_pc(context, isa_addresses[sizeof(isa_addresses) / sizeof(isa_addresses[0]) - 2]);
}

/* Starts a child whose signal handler damages its frame: the return ends it, or the first privileged instruction. */
static void wrong_frame(void (*handler)(int, siginfo_t *, void *))
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	pid_t child = fork();
	int got;

	if (!child) {
		signal(SIGSEGV, SIG_DFL);
		signal(SIGILL, SIG_DFL);
		CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
		raise(SIGUSR1);
		asm volatile(ISA_PRIVILEGED ::: ISA_CLOBBERS);
		_exit(0);
	}
	CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got));
	CHECK(WTERMSIG(got) == SIGSEGV || (handler == on_user && WTERMSIG(got) == SIGILL));
}

static void default_actions(void)
{
	int got;

	for (int i = 0; i < 2; i++) {
		pid_t child = fork();

		if (!child) {
			signal(SIGSEGV, SIG_DFL);
			signal(SIGILL, SIG_DFL);
			if (i)
				asm volatile(ISA_ILLEGAL);
			*(volatile char *)0xffffffff80000000 = 1;
			_exit(0);
		}
		CHECK(waitpid(child, &got, 0) == child && WIFSIGNALED(got));
		CHECK(WTERMSIG(got) == (i ? SIGILL : SIGSEGV));
	}
}

int main(void)
{
	static const int signals[] = { SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGTRAP };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = malloc(65536), .ss_size = 65536 };

	CHECK(sigaltstack(&stack, NULL) == 0);
	for (unsigned i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		CHECK(sigaction(signals[i], &action, NULL) == 0);
	addresses();
	ISA_REFUSED(REFUSED_ASM)
	wrong_frame(on_user);
	wrong_frame(on_user_away);
	default_actions();
	isa_peculiarities();
	puts("ok");
	return 0;
}
