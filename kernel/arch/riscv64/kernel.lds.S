/* SPDX-License-Identifier: GPL-2.0-only */
#include "layout.h"
ENTRY(boot_start)
PHDRS
{
	text PT_LOAD FLAGS(5);
	data PT_LOAD FLAGS(6);
}
SECTIONS
{
	. = KERNEL_VADDR;
	kernel_start = .;
	.text : AT(ADDR(.text) - KERNEL_VADDR + KERNEL_PHYS) { *(.boot.text) *(.text .text.*) } :text
	. = ALIGN(4096);
	kernel_const = .;
	.rodata : AT(ADDR(.rodata) - KERNEL_VADDR + KERNEL_PHYS) { *(.rodata .rodata.* .srodata .srodata.*) } :text
	. = ALIGN(4096);
	kernel_data = .;
	.data : AT(ADDR(.data) - KERNEL_VADDR + KERNEL_PHYS) { *(.data .data.* .sdata .sdata.*) } :data
	.bss : AT(ADDR(.bss) - KERNEL_VADDR + KERNEL_PHYS) { *(.sbss .sbss.* .bss .bss.*) *(COMMON) } :data
	. = ALIGN(4096);
	kernel_end = .;
	ASSERT(kernel_end - kernel_start <= 0x200000, "the image does not fit its table")
	/DISCARD/ : { *(.comment) *(.eh_frame) *(.note.gnu.*) *(.riscv.attributes) }
}
