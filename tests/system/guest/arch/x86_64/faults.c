/* SPDX-License-Identifier: BSD-2-Clause */
/* What a handler learns of each fault: signal, code, address, and the trap and error numbers of its frame. */
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

static sigjmp_buf back;
static volatile struct {
	int signal, code;
	unsigned long address, pc, trap, error, cr2;
} seen;

static void on_fault(int number, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;

	seen.signal = number;
	seen.code = info->si_code;
	seen.address = (unsigned long)info->si_addr;
	seen.pc = regs[REG_RIP];
	seen.trap = regs[REG_TRAPNO];
	seen.error = regs[REG_ERR];
	seen.cr2 = regs[REG_CR2];
	siglongjmp(back, 1);
}

enum { null = 0, at_pc = 1 }; /* or the address itself */

static void expect(int line, int signal, int code, unsigned long address, unsigned long trap, unsigned long error)
{
	if (address == at_pc)
		address = seen.pc;
	if (seen.signal != signal || seen.code != code || seen.address != address || seen.trap != trap ||
	    seen.error != error || (trap == 14 && seen.cr2 != address)) {
		fprintf(stderr, "line %d: signal %d code %d address %lx pc %lx trap %lu error %lx cr2 %lx\n", line,
		        seen.signal, seen.code, seen.address, seen.pc, seen.trap, seen.error, seen.cr2);
		exit(1);
	}
}

#define TRY(statement)                     \
	do {                               \
		seen.signal = 0;           \
		if (!sigsetjmp(back, 1)) { \
			statement;         \
		}                          \
	} while (0)

#define FAULT(statement, number, why, where, vector, word)                           \
	do {                                                                         \
		TRY(statement);                                                      \
		expect(__LINE__, number, why, (unsigned long)(where), vector, word); \
	} while (0)

static volatile char *at(unsigned long where) { return (volatile char *)where; }

static void call(unsigned long address) { ((void (*)(void))address)(); }

static void exceptions(const char *misaligned)
{
	FAULT(asm volatile("xor %%ecx, %%ecx; xor %%edx, %%edx; mov $1, %%eax; div %%ecx" :: : "eax", "ecx", "edx"),
	      SIGFPE, FPE_INTDIV, at_pc, 0, 0);
	FAULT(asm volatile("mov $-1, %%ecx; mov $0x80000000, %%eax; cdq; idiv %%ecx" :: : "eax", "ecx", "edx"), SIGFPE,
	      FPE_INTDIV, at_pc, 0, 0);
	FAULT(asm volatile("ud2"), SIGILL, ILL_ILLOPN, at_pc, 6, 0);
	FAULT(asm volatile("int3"), SIGTRAP, SI_KERNEL, null, 3, 0);
	FAULT(asm volatile("hlt"), SIGSEGV, SI_KERNEL, null, 13, 0);
	FAULT((void)*at(0x800000000000), SIGSEGV, SI_KERNEL, null, 13, 0);
	FAULT(asm volatile("pushfq; orl $0x100, (%%rsp); popfq; nop; nop" :: : "memory", "cc"), SIGTRAP, TRAP_TRACE,
	      at_pc, 1, 0);
	/* TCG does not check alignment, so nothing comes there. */
	TRY(asm volatile("pushfq; orl $0x40000, (%%rsp); popfq; mov 1(%0), %%eax" ::"r"(misaligned) : "eax", "cc"));
	if (seen.signal)
		expect(__LINE__, SIGBUS, BUS_ADRALN, null, 17, 0);
	asm volatile("pushfq; andl $~0x40000, (%%rsp); popfq" ::: "memory", "cc");
	/* x87: the exception comes with the next instruction that waits for it. */
	FAULT(asm volatile("fninit; fldcw %0; fld1; fldz; fdivrp; fwait" ::"m"((short){ 0x37b })), SIGFPE, FPE_FLTDIV,
	      at_pc, 16, 0);
	asm volatile("fninit");
}

/* Bit 0 of the error code: the page is there. It is always set above user space, which hides what is. */
static void page_faults(char *page)
{
	static const unsigned long kernel[] = { 0xffff800000000000, 0xffffffff81000000, 0xffffffffffffe000 };
	static volatile int i;

	FAULT((void)*at(0x2008), SIGSEGV, SEGV_MAPERR, 0x2008, 14, 4);
	FAULT(*at(0x2008) = 1, SIGSEGV, SEGV_MAPERR, 0x2008, 14, 6);
	FAULT(*(volatile char *)page = 1, SIGSEGV, SEGV_ACCERR, page, 14, 7);
	FAULT(call((unsigned long)page), SIGSEGV, SEGV_ACCERR, page, 14, 0x15);
	FAULT(call(0x1000), SIGSEGV, SEGV_MAPERR, 0x1000, 14, 0x14);
	for (i = 0; i < 3; i++) {
		FAULT((void)*at(kernel[i]), SIGSEGV, SEGV_MAPERR, kernel[i], 14, 5);
		FAULT(*at(kernel[i]) = 1, SIGSEGV, SEGV_MAPERR, kernel[i], 14, 7);
	}
	FAULT((void)*at(0x7ffffffff000), SIGSEGV, SEGV_MAPERR, 0x7ffffffff000, 14, 5);
	FAULT((void)*at(0x7fffffffefff), SIGSEGV, SEGV_MAPERR, 0x7fffffffefff, 14, 4);
}

int main(void)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP };
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < 5; i++)
		CHECK(sigaction(signals[i], &action, NULL) == 0);
	CHECK(page != MAP_FAILED);
	page[0] = 1;
	CHECK(mprotect(page, 4096, PROT_READ) == 0);
	exceptions(page);
	page_faults(page);
	puts("ok");
	return 0;
}
