/* SPDX-License-Identifier: BSD-2-Clause */
/* The small C library of programs on L4: memory, text, printing to the kernel's log. */
#ifndef BASE_LIB_H
#define BASE_LIB_H

#include <abi_names.h>
#include <l4/types.h>

void *memcpy(void *to, const void *from, size_t bytes);
void *memmove(void *to, const void *from, size_t bytes);
void *memset(void *to, int value, size_t bytes);
int memcmp(const void *a, const void *b, size_t bytes);
size_t strlen(const char *text);
int strncmp(const char *a, const char *b, size_t limit);

/* Takes %d %i %u %x %p %s %c %%, with l, z, width, 0, - and precision of %s. Returns the length without the limit. */
int l4_vsnprintf(char *to, size_t size, const char *format, va_list args);
int l4_snprintf(char *to, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Write to the kernel's log. Text leaves this program when a line is complete or 256 bytes wait. */
void l4_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
void l4_write(const char *text, size_t bytes);
void l4_flush(void);

/* Print a line and end this program by an illegal instruction, which its pager reports. */
void l4_die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* A program's main function: info is boot_info of the root pager, server_info of a server. */
int l4_main(void *info);

/* start.S of libl4 jumps here. */
void l4_start(void *info, struct l4_utcb *utcb) __attribute__((noreturn));

#endif
