/* SPDX-License-Identifier: BSD-2-Clause */
/* Integer types, single accesses to shared memory, and the generated ABI. */
#ifndef L4_TYPES_H
#define L4_TYPES_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <abi.h>
#include <abi_msg.h>
#include <abi_objects.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* One access that the compiler may neither split, repeat nor invent: for memory that others write. */
#define l4_read_once(x)                  (*(const volatile __typeof__(x) *)&(x))
#define l4_write_once(x, value)          (*(volatile __typeof__(x) *)&(x) = (value))
#define l4_load_acquire(pointer)         __atomic_load_n(pointer, __ATOMIC_ACQUIRE)
#define l4_store_release(pointer, value) __atomic_store_n(pointer, value, __ATOMIC_RELEASE)

#endif
