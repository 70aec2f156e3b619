/* SPDX-License-Identifier: BSD-2-Clause */
/* Invocations of kernel objects: one function for each, generated from abi.yaml. */
#ifndef L4_INVOKE_H
#define L4_INVOKE_H

#include <l4/syscall.h>
#include <abi_invoke.h>

#endif
