// SPDX-License-Identifier: GPL-2.0-only
/* Debug console: PL011 (ARM DDI 0183) of a device tree, polled, at the speed that firmware left. */
#include <devicetree.h>

#define FR             0x18
#define LCR_H          0x2c
#define CR             0x30
#define LCR_H_8N1_FIFO 0x70
#define CR_ON          0x301 /* enabled, transmit, receive */
#define FR_TXFF        0x20

static char *registers;

void uart_init(void)
{
	static const char *const known[] = { "arm,pl011", NULL };
	u64 pa, size;

	if (machine_stdout(known, &pa, &size) == FDT_NONE)
		return;
	registers = mmu_device(pa, size);
	/* Without firmware the FIFOs are off. Turning them on clears them, so do it before there is input. */
	if (mmio_read32(registers + LCR_H) != LCR_H_8N1_FIFO) {
		mmio_write32(registers + LCR_H, LCR_H_8N1_FIFO);
		mmio_write32(registers + CR, CR_ON);
	}
}

bool uart_ready(void) { return !registers || !(mmio_read32(registers + FR) & FR_TXFF); }

void uart_write(char c)
{
	if (registers)
		mmio_write32(registers, (u8)c);
	else
		firmware_console_write(c);
}
