// SPDX-License-Identifier: GPL-2.0-only
/* Firmware of RISC-V boards: the Supervisor Binary Interface 1.0 (OpenSBI). */
#include <kernel/firmware.h>
#include <riscv.h>

enum {
	EXT_LEGACY_PUTCHAR = 1,
	EXT_LEGACY_SHUTDOWN = 8,
	EXT_BASE = 0x10,
	EXT_TIME = 0x54494d45,
	EXT_RESET = 0x53525354
};
enum { RESET_SHUTDOWN, RESET_COLD };

static u64 sbi_call(u64 extension, u64 function, u64 arg0, u64 arg1)
{
	register u64 a0 __asm__("a0") = arg0;
	register u64 a1 __asm__("a1") = arg1;
	register u64 a6 __asm__("a6") = function;
	register u64 a7 __asm__("a7") = extension;

	__asm__ volatile("ecall" : "+r"(a0), "+r"(a1) : "r"(a6), "r"(a7) : "memory");
	return a1;
}

void firmware_console_write(char c) { sbi_call(EXT_LEGACY_PUTCHAR, 0, (u8)c, 0); }

u64 sbi_id(enum sbi_id which) { return sbi_call(EXT_BASE, which, 0, 0); }

void sbi_timer(u64 when) { sbi_call(EXT_TIME, 0, when, 0); }

void firmware_power_off(void)
{
	sbi_call(EXT_RESET, 0, RESET_SHUTDOWN, 0);
	sbi_call(EXT_LEGACY_SHUTDOWN, 0, 0, 0);
}

void firmware_restart(void) { sbi_call(EXT_RESET, 0, RESET_COLD, 0); }
