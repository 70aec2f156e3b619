/* SPDX-License-Identifier: BSD-2-Clause */
/* SGDT, SIDT, SLDT, SMSW and STR, which UMIP makes fault, give what native Linux gives for them. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "check.h"

static const uint64_t gdt = 0xfffffffffffe0000, idt = 0xffffffffffff0000;
enum { smsw = 0x80050033 }; /* PG AM WP NE ET MP PE */
enum { str = 0x40, sldt = 0 };

static sigjmp_buf back;
static volatile unsigned long address, error;

static void on_fault(int number, siginfo_t *info, void *context)
{
	(void)number;
	address = (unsigned long)info->si_addr;
	error = ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR];
	siglongjmp(back, 1);
}

struct table {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static void tables(void)
{
	struct {
		struct table table;
		uint8_t after[6];
	} at = { .after = { 1, 2, 3, 4, 5, 6 } };
	char *byte = (char *)&at;

	asm volatile("sgdt %0" : "=m"(at.table));
	CHECK(at.table.limit == 0 && at.table.base == gdt);
	asm volatile("sidt %0" : "=m"(at.table));
	CHECK(at.table.limit == 0 && at.table.base == idt);
	CHECK(at.after[0] == 1 && at.after[5] == 6);
	/* Through an index, a displacement and the base of gs. */
	memset(&at.table, 0xff, sizeof(at.table));
	asm volatile("wrgsbase %0; sgdt %%gs:-64(%1, %2, 4); wrgsbase %3"
	             :
	             : "r"(byte), "r"(24L), "r"(10L), "r"(0L)
	             : "memory");
	CHECK(at.table.limit == 0 && at.table.base == gdt);
	memset(&at.table, 0xff, sizeof(at.table));
	asm volatile("mov %0, %%r13; mov $3, %%r12d; sidt -24(%%r13, %%r12, 8)" : : "r"(byte) : "r12", "r13", "memory");
	CHECK(at.table.limit == 0 && at.table.base == idt);
}

static void values(void)
{
	uint16_t word[2];
	uint64_t wide = 0x1122334455667788;

	word[1] = 0x5aa5;
	asm volatile("smsw %0" : "=m"(word[0]));
	CHECK(word[0] == (uint16_t)smsw && word[1] == 0x5aa5);
	asm volatile("str %0" : "=m"(word[0]));
	CHECK(word[0] == str && word[1] == 0x5aa5);
	asm volatile("sldt %0" : "=m"(word[0]));
	CHECK(word[0] == sldt && word[1] == 0x5aa5);
	asm volatile("smsw %w0" : "+r"(wide));
	CHECK(wide == (0x1122334455660000 | (uint16_t)smsw));
	asm volatile("str %w0" : "+r"(wide));
	CHECK(wide == (0x1122334455660000 | str));
	asm volatile("mov %0, %%r15; rex.WB; .byte 0x0f, 0x01, 0xe7; mov %%r15, %0" : "+r"(wide) : : "r15");
	CHECK(wide == smsw);
}

static void bad_places(void)
{
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const unsigned long places[] = { 8, (unsigned long)page, 0xffffffff81000000, 0x7fffffffeffc };

	CHECK(page != MAP_FAILED);
	for (int i = 0; i < 4; i++) {
		if (!sigsetjmp(back, 1)) {
			asm volatile("sgdt (%0)" : : "r"(places[i]) : "memory");
			CHECK(!"the store faults");
		}
		CHECK(address == places[i] && error == 6);
	}
	/* Another instruction of the group still faults. */
	if (!sigsetjmp(back, 1)) {
		asm volatile("lgdt (%0)" : : "r"(page));
		CHECK(!"lgdt faults");
	}
	CHECK(address == 0 && error == 0);
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };

	CHECK(sigaction(SIGSEGV, &action, NULL) == 0 && sigaction(SIGBUS, &action, NULL) == 0);
	tables();
	values();
	bad_places();
	puts("ok");
	return 0;
}
