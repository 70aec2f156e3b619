// SPDX-License-Identifier: GPL-2.0-only
/* Debug console, polled: 16550 (TL16C550 data sheet) or PL011 (ARM DDI 0183), at the speed that firmware left. */
#include <devicetree.h>

#define NS16550_LSR    5
#define LSR_THRE       0x20
#define PL011_FR       0x18
#define PL011_LCR_H    0x2c
#define PL011_CR       0x30
#define LCR_H_8N1_FIFO 0x70
#define CR_ON          0x301 /* enabled, transmit, receive */
#define FR_TXFF        0x20

static char *registers;
static bool pl011;
static u32 shift, width;

void uart_init(void)
{
	static const char *const known[] = { "ns16550a", "ns16550", "arm,pl011", NULL };
	const struct fdt *fdt = &machine_fdt;
	int node = fdt_stdout(fdt);
	u64 pa, size;

	/* Without stdout-path take the first line of a known kind, so that errors can be read. */
	if (node == FDT_NONE)
		node = machine_find(known);
	if (node == FDT_NONE || fdt_reg(fdt, node, 0, &pa, &size))
		return;
	for (u32 i = 0; known[i]; i++) {
		if (!fdt_is_compatible(fdt, node, known[i]))
			continue;
		pl011 = i == 2;
		shift = fdt_number(fdt, node, "reg-shift", 0) & 3;
		width = fdt_number(fdt, node, "reg-io-width", 1);
		registers = mmu_device(pa, size);
		/* Without firmware the FIFOs are off. Turning them on clears them, so do it before there is input. */
		if (pl011 && mmio_read32(registers + PL011_LCR_H) != LCR_H_8N1_FIFO) {
			mmio_write32(registers + PL011_LCR_H, LCR_H_8N1_FIFO);
			mmio_write32(registers + PL011_CR, CR_ON);
		}
		return;
	}
}

static u32 read(u32 reg)
{
	return pl011        ? mmio_read32(registers + reg)
	       : width == 4 ? mmio_read32(registers + (reg << shift))
	                    : mmio_read8(registers + (reg << shift));
}

static void write(u32 v)
{
	if (pl011 || width == 4)
		mmio_write32(registers, v);
	else
		mmio_write8(registers, v);
}

bool uart_ready(void) { return !registers || (pl011 ? !(read(PL011_FR) & FR_TXFF) : read(NS16550_LSR) & LSR_THRE); }

void uart_write(char c)
{
	if (registers)
		write(c);
	else
		firmware_console_write(c);
}
