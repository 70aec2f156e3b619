/* SPDX-License-Identifier: BSD-2-Clause */
/* An access to a device that leaves a note; hardened/noted_access.h says what it promises. */
#ifndef L4_NOTED_H
#define L4_NOTED_H

#include <abi_call.h>

#define L4_NOTED_ACCESS                                                       \
	"movq %[what], %c[intent](%[note])\n\t" L4_SYSCALL_INSTRUCTION "\n\t" \
	"movzbl %b[word0], %k[word0]\n\t"                                     \
	"orq %[word0], %[what]\n\t"                                           \
	"movq %[what], %c[done](%[note])"
/* The number and the error are in the same register. */
#define L4_NOTED_ERROR  L4_SYS_INVOKE
#define L4_NOTED_NUMBER "i"(L4_SYS_INVOKE)

#include <l4/noted_invoke.h>

#endif
