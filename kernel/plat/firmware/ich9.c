// SPDX-License-Identifier: GPL-2.0-only
/* Power of QEMU's q35: ACPI PM1a control of ICH9 at 0x600 (S5 is type 0), and its reset register. */
#include <kernel/firmware.h>
#include <x86.h>

void firmware_power_off(void) { outw(0x604, 0x2000); }

void firmware_restart(void)
{
	outb(0xcf9, 2);
	outb(0xcf9, 6);
}
