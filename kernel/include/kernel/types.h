/* SPDX-License-Identifier: GPL-2.0-only */
/* Basic types and helpers of the kernel. */
#ifndef KERNEL_TYPES_H
#define KERNEL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <abi.h>
#include <abi_objects.h>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;

/* L4_ERR_*; 0 is success. */
typedef u32 error_t;

#define likely(x)                     __builtin_expect(!!(x), 1)
#define unlikely(x)                   __builtin_expect(!!(x), 0)
#define container_of(p, type, member) ((type *)((char *)(p) - offsetof(type, member)))
#define BIT(n)                        (1UL << (n))
#define noinline                      __attribute__((__noinline__))
#define __cold                        __attribute__((__cold__, __noinline__))
#define __noreturn                    __attribute__((__noreturn__))
#define __hot                         __attribute__((__hot__))
#define __used                        __attribute__((__used__)) /* called by assembler or by the compiler */
#define __aligned(n)                  __attribute__((__aligned__(n)))
#define __printf(fmt, args)           __attribute__((__format__(__printf__, fmt, args)))
#define READ_ONCE(x)                  (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, v)              (*(volatile __typeof__(x) *)&(x) = (v))

static inline u64 align_down(u64 x, u64 a) { return x & ~(a - 1); }
static inline u64 align_up(u64 x, u64 a) { return (x + a - 1) & ~(a - 1); }
static inline bool aligned(u64 x, u64 a) { return !(x & (a - 1)); }
/*
 * index, which was checked to be below n, for an access: 0 on a path that the CPU takes by a wrong guess although the
 * check fails (Spectre, variant 1). The compiler must not know what the check told: it makes no branch of it.
 */
static inline u64 index_nospec(u64 index, u64 n)
{
	__asm__("" : "+r"(index));
	return index & -(u64)(index < n);
}

static inline u64 min_u64(u64 a, u64 b) { return a < b ? a : b; }

void *memset(void *d, int c, size_t n);
void *memcpy(void *d, const void *s, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/*
 * Copy a structure from memory that a guest, a device or another CPU may write. The barrier keeps the compiler from
 * reading the source once more where the copy is used.
 */
#define read_shared(d, s)                            \
	do {                                         \
		*(d) = *(s);                         \
		__asm__ volatile("" : : : "memory"); \
	} while (0)

#endif
