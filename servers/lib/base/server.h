/* SPDX-License-Identifier: BSD-2-Clause */
/* What a server says to the root pager. */
#ifndef L4_SERVER_H
#define L4_SERVER_H

#include <abi_servers.h>
#include <l4/types.h>

/* We serve. Returns the first word of the answer: for the console, where in the kernel's log it goes on. */
unsigned long l4_server_ready(void);

/* Answer a ping; left is what still has to go out, for a server to which that matters. */
void l4_server_pong(unsigned long left);

#endif
