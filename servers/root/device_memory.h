/* SPDX-License-Identifier: GPL-2.0-only */
/* Physical memory that is no RAM: registers of devices, tables of the firmware. */
#ifndef ROOT_DEVICE_MEMORY_H
#define ROOT_DEVICE_MEMORY_H

#include <l4/types.h>

void device_memory_init(void);

/* A Frame of device memory: the capability that all others of it are copied from. */
unsigned long device_frame(u64 paddr, unsigned long size_bits);

/* Map device memory or firmware tables into the root pager's address space. */
void *device_map(u64 paddr, u64 bytes, bool uncached);

#endif
