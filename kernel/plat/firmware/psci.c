// SPDX-License-Identifier: GPL-2.0-only
/* Power by the Power State Coordination Interface (Arm DEN 0022), by the call that the device tree names. */
#include <kernel/firmware.h>
#include <kernel/debug.h>
#include <devicetree.h>
#include <arm.h>

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

static void call(u64 function)
{
	register u64 x0 __asm__("x0") = function;

	if (method == HVC)
		__asm__ volatile("hvc #0" : "+r"(x0) : : "x1", "x2", "x3", "memory");
	else if (method == SMC)
		__asm__ volatile(".inst 0xd4000003" : "+r"(x0) : : "x1", "x2", "x3", "memory"); /* smc #0 */
}

void firmware_power_off(void) { call(SYSTEM_OFF); }
void firmware_restart(void) { call(SYSTEM_RESET); }

/* It has no call that writes. */
void firmware_console_write(char c) {}
