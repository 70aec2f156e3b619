// SPDX-License-Identifier: GPL-2.0-only
/* Power by the Power State Coordination Interface (Arm DEN 0022), by the call that the device tree names. */
#include <kernel/firmware.h>
#include <kernel/debug.h>
#include <devicetree.h>
#include <arm.h>

#define CPU_ON       0xc4000003 /* all values of 64 bits */
#define SYSTEM_OFF   0x84000008
#define SYSTEM_RESET 0x84000009

static enum { NONE, HVC, SMC } method;

/* Version 0.1 ("arm,psci") has no call for the whole machine. */
void psci_init(void)
{
	static const char *const known[] = { "arm,psci-1.0", "arm,psci-0.2", NULL };
	int node = machine_find(known);
	const char *text = node == FDT_NONE ? NULL : fdt_text(&machine_fdt, node, "method");

	if (text && !memcmp(text, "hvc", 4))
		method = HVC;
	else if (text && !memcmp(text, "smc", 4))
		method = SMC;
}

/* The callee keeps only x18 and above (SMC Calling Convention 1.0). */
#define LOST "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "memory"

static long call(u64 function, u64 arg1, u64 arg2, u64 arg3)
{
	register u64 x0 __asm__("x0") = function;
	register u64 x1 __asm__("x1") = arg1;
	register u64 x2 __asm__("x2") = arg2;
	register u64 x3 __asm__("x3") = arg3;

	if (method == HVC)
		__asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : LOST);
	else if (method == SMC)
		__asm__ volatile(".inst 0xd4000003" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3) : : LOST); /* smc #0 */
	return x0;
}

void firmware_power_off(void) { call(SYSTEM_OFF, 0, 0, 0); }
void firmware_restart(void) { call(SYSTEM_RESET, 0, 0, 0); }

bool psci_has_cpus(void) { return method != NONE; }
long psci_cpu_on(u64 mpidr, u64 entry, u64 argument) { return call(CPU_ON, mpidr, entry, argument); }

/* It has no call that writes. */
void firmware_console_write(char c) {}
