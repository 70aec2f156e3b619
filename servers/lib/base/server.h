/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of a server to the root pager. */
#ifndef BASE_SERVER_H
#define BASE_SERVER_H

#include <abi_servers.h>
#include <l4/types.h>

/* Before anything else: end this program if the root pager was built with other protocols (L4_SERVERS_HASH). */
void l4_server_check(void);

/* Tell that this server is ready. Returns the first word of the answer: for the console, its place in the kernel's log. */
unsigned long l4_server_ready(void);

/* Answer a ping. left: nonzero if the console still has text to write. */
void l4_server_pong(unsigned long left);

#endif
