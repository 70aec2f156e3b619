/* SPDX-License-Identifier: GPL-2.0-only */
/* The serial line's own interrupt, by its registers in memory or by its ports. */
#include "line.h"

static u64 registers, device;

void line_open(void)
{
	registers = device = 0;
	for (u32 i = 0; ARCH_LINE_PADDR && i < boot_info->untyped_count; i++)
		if (boot_info->untyped[i].kind == L4_MEM_DEVICE && boot_info->untyped[i].paddr == ARCH_LINE_PADDR)
			device = L4_ROOT_SLOT_UNTYPED + i;
	if (!ARCH_LINE_PADDR)
		return;
	registers = slot_new();
	MUST(retype(device, L4_TYPE_FRAME, L4_PAGE_BITS, registers, 1));
}

void line_close(void)
{
	if (device)
		ERR(slot_revoke(device), OK);
}

void line(int up)
{
	u64 value = up ? ARCH_LINE_ON : 0;

	if (ARCH_LINE_PADDR)
		ERR(INV(registers, L4_FRAME_STORE, ARCH_LINE_AT, ARCH_LINE_WIDTH, value), OK);
	else
		ERR(INV(L4_ROOT_SLOT_IOPORT, L4_IOPORT_OUT, ARCH_LINE_AT, ARCH_LINE_WIDTH, value), OK);
}
