// SPDX-License-Identifier: GPL-2.0-only
/* Firmware of RISC-V boards: the Supervisor Binary Interface 1.0 (OpenSBI). */
#include <kernel/firmware.h>
#include <riscv.h>

enum {
	EXT_LEGACY_PUTCHAR = 1,
	EXT_LEGACY_SHUTDOWN = 8,
	EXT_BASE = 0x10,
	EXT_HARTS = 0x48534d,
	EXT_IPI = 0x735049,
	EXT_TIME = 0x54494d45,
	EXT_RESET = 0x53525354
};
enum { RESET_SHUTDOWN, RESET_COLD };
enum { BASE_PROBE = 3, HARTS_START = 0, IPI_SEND = 0 };

struct result {
	u64 error, value;
};

static struct result call(u64 extension, u64 function, const u64 *arg)
{
	register u64 a0 __asm__("a0") = arg[0];
	register u64 a1 __asm__("a1") = arg[1];
	register u64 a2 __asm__("a2") = arg[2];
	register u64 a3 __asm__("a3") = arg[3];
	register u64 a4 __asm__("a4") = arg[4];
	register u64 a6 __asm__("a6") = function;
	register u64 a7 __asm__("a7") = extension;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a2), "r"(a3), "r"(a4), "r"(a6), "r"(a7) : "memory");
	return (struct result){ a0, a1 };
}

static u64 sbi_call(u64 extension, u64 function, u64 arg0, u64 arg1)
{
	return call(extension, function, (u64[5]){ arg0, arg1 }).value;
}

void firmware_console_write(char c) { sbi_call(EXT_LEGACY_PUTCHAR, 0, (u8)c, 0); }

u64 sbi_id(enum sbi_id which) { return sbi_call(EXT_BASE, which, 0, 0); }

static bool has(u64 extension) { return sbi_call(EXT_BASE, BASE_PROBE, extension, 0); }

bool sbi_has_harts(void) { return has(EXT_HARTS) && has(EXT_IPI); }

u64 sbi_hart_start(u64 hart, u64 entry, u64 argument)
{
	return call(EXT_HARTS, HARTS_START, (u64[5]){ hart, entry, argument }).error;
}

/* Of one hart: a mask of bit 0, and the hart's number as that of the bit. What was written before is seen there. */
void sbi_ipi(u64 hart)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	call(EXT_IPI, IPI_SEND, (u64[5]){ 1, hart });
}

void sbi_timer(u64 when) { sbi_call(EXT_TIME, 0, when, 0); }

void firmware_power_off(void)
{
	sbi_call(EXT_RESET, 0, RESET_SHUTDOWN, 0);
	sbi_call(EXT_LEGACY_SHUTDOWN, 0, 0, 0);
}

void firmware_restart(void) { sbi_call(EXT_RESET, 0, RESET_COLD, 0); }
