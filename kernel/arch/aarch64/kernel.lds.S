/* SPDX-License-Identifier: GPL-2.0-only */
#include "layout.h"
ENTRY(_start)
PHDRS
{
	text PT_LOAD FLAGS(5);
	data PT_LOAD FLAGS(6);
}
SECTIONS
{
	. = KERNEL_VADDR;
	kernel_start = .;
	.text : { *(.boot.text) *(.text .text.*) } :text
	. = ALIGN(4096);
	kernel_const = .;
	.rodata : { *(.rodata .rodata.*) } :text
	. = ALIGN(4096);
	kernel_data = .;
	.data : { *(.data .data.*) } :data
	.bss : {
		. = ALIGN(16);
		kernel_bss = .;
		*(.bss .bss.*) *(COMMON)
		. = ALIGN(16);
		kernel_bss_end = .;
		/* Written before the MMU is on, so cleared apart. */
		. = ALIGN(4096);
		kernel_tables = .;
		*(.tables)
		. = ALIGN(4096);
		kernel_end = .;
	} :data
	kernel_image_size = kernel_end - kernel_start;
	ASSERT(kernel_end <= KERNEL_WINDOW, "the kernel has one last-level table")
	/DISCARD/ : { *(.comment) *(.eh_frame) *(.note.*) }
}
