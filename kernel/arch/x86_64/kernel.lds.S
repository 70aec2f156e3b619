/* SPDX-License-Identifier: GPL-2.0-only */
#include "layout.h"
ENTRY(pvh_start)
PHDRS
{
	text PT_LOAD FLAGS(5);
	data PT_LOAD FLAGS(6);
	note PT_NOTE FLAGS(4);
}
SECTIONS
{
	. = KERNEL_VADDR + KERNEL_PHYS;
	kernel_start = .;
	.text : AT(ADDR(.text) - KERNEL_VADDR) {
		*(.boot.text) *(.text .text.*)
		. = ALIGN(4096);
		gate_text = .;
		KEEP(*(.gate.text))
		. = ALIGN(4096);
		gate_text_end = .;
	} :text
	. = ALIGN(4096);
	kernel_const = .;
	.note : AT(ADDR(.note) - KERNEL_VADDR) { KEEP(*(.note.pvh)) } :text :note
	.rodata : AT(ADDR(.rodata) - KERNEL_VADDR) {
		*(.rodata .rodata.*)
		. = ALIGN(8);
		kernel_patch = .;
		KEEP(*(.patch))
		kernel_patch_end = .;
	} :text
	. = ALIGN(4096);
	kernel_data = .;
	.data : AT(ADDR(.data) - KERNEL_VADDR) {
		gate_ro = .;
		*(.gate.ro)
		. = ALIGN(4096);
		gate_ro_end = .;
		*(.data .data.*)
	} :data
	.bss : AT(ADDR(.bss) - KERNEL_VADDR) {
		. = ALIGN(4096);
		gate_stacks = .;
		*(.bss.gate)
		gate_stacks_end = .;
		*(.bss .bss.*) *(COMMON)
	} :data
	. = ALIGN(4096);
	kernel_end = .;
	ASSERT(kernel_end - KERNEL_VADDR - KERNEL_PHYS <= 0x200000, "the image does not fit its table")
	/DISCARD/ : { *(.comment) *(.eh_frame) *(.note.gnu.*) }
}
