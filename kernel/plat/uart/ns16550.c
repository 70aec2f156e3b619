// SPDX-License-Identifier: GPL-2.0-only
/* Debug console: 16550 (TL16C550 data sheet) of a device tree, polled, at the speed that firmware left. */
#include <devicetree.h>

#define LSR      5
#define LSR_THRE 0x20

static char *registers;
static u32 shift, width;

void uart_init(void)
{
	static const char *const known[] = { "ns16550a", "ns16550", NULL };
	u64 pa, size;
	int node = machine_stdout(known, &pa, &size);

	if (node == FDT_NONE)
		return;
	shift = fdt_number(&machine_fdt, node, "reg-shift", 0) & 3;
	width = fdt_number(&machine_fdt, node, "reg-io-width", 1);
	registers = mmu_device(pa, size);
}

bool uart_ready(void)
{
	const char *status;

	if (!registers)
		return true;
	status = registers + (LSR << shift);
	return (width == 4 ? mmio_read32(status) : mmio_read8(status)) & LSR_THRE;
}

void uart_write(char c)
{
	if (!registers)
		firmware_console_write(c);
	else if (width == 4)
		mmio_write32(registers, (u8)c);
	else
		mmio_write8(registers, (u8)c);
}
