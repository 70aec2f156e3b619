/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Boards that describe themselves by a device tree (QEMU virt): what this folder offers to the boot code of an
 * architecture, and what it needs of it. Nothing about a board is known but by its device tree.
 *
 * Order of boot: machine_open(), uart_init(), the CPU's own set-up, machine_read(), the interrupt controller's
 * init (which takes its registers away from user level), boot_root_pager().
 */
#ifndef PLAT_DEVICETREE_H
#define PLAT_DEVICETREE_H

#include <fdt/fdt.h>
#include <kernel/arch.h>
#include <kernel/boot.h>
#include <kernel/uart.h>

/* machine.c: the device tree at physical address dtb must be reachable by arch_ptr() from the start. */
extern struct fdt machine_fdt;
void machine_open(u64 dtb);
/* The index-th range of RAM, as the tree has it; false past the last. All of it must be mapped for machine_read(). */
bool machine_ram(u32 index, u64 *start, u64 *end);
/* RAM that is free, devices, boot image, device tree, log; counter_hz stays to be set. */
void machine_read(struct boot_machine *m);
/* Node of the first of a list of compatibles (NULL at its end) that the tree has, FDT_NONE if it has none. */
int machine_find(const char *const *compatible);
/*
 * Node and registers of the serial line that the tree names for output, if its driver knows it by one of `known` (NULL
 * at its end); where the tree names none, of the first line that it knows, so that errors can be read. Else FDT_NONE.
 */
int machine_stdout(const char *const *known, u64 *pa, u64 *size);
/* Registers of a device: kernel address of the index-th range of node's reg. Panics, naming `what`. */
char *machine_registers(int node, int index, const char *what, u64 *pa, u64 *size);

/* The architecture: kernel address of device registers, mapped uncached for good. Only called while booting. */
void *mmu_device(u64 pa, u64 size);
/* The firmware: a way to write before the serial line is found, or nothing. */
void firmware_console_write(char c);

/* The kernel's image, from the linker script. */
extern char kernel_start[], kernel_end[];

static inline u32 mmio_read32(const char *at) { return READ_ONCE(*(const u32 *)at); }
static inline void mmio_write32(char *at, u32 v) { WRITE_ONCE(*(u32 *)at, v); }
static inline u8 mmio_read8(const char *at) { return READ_ONCE(*(const u8 *)at); }
static inline void mmio_write8(char *at, u8 v) { WRITE_ONCE(*(u8 *)at, v); }

#endif
