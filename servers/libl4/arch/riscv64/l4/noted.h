/* SPDX-License-Identifier: BSD-2-Clause */
/* An access to a device that leaves a note; hardened/noted_access.h says what it promises. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <abi_call.h>

#define L4_NOTED_ACCESS                                                     \
	"sd %[what], %c[intent](%[note])\n\t" L4_SYSCALL_INSTRUCTION "\n\t" \
	"andi %[word0], %[word0], 0xff\n\t"                                 \
	"or %[what], %[what], %[word0]\n\t"                                 \
	"sd %[what], %c[done](%[note])"
#define L4_NOTED_ERROR  ~0UL
#define L4_NOTED_NUMBER "r"(number)

#include <l4/noted_invoke.h>

#endif
