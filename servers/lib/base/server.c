/* SPDX-License-Identifier: BSD-2-Clause */
/* Messages of a server to the root pager. */
#include <base/lib.h>
#include <base/server.h>
#include <l4/syscall.h>

void l4_server_check(void)
{
	u64 hash = ((const struct l4_server_info *)L4_SERVER_INFO_VADDR)->servers_hash;

	if (hash != L4_SERVERS_HASH)
		l4_die("root pager has other protocols (%lx, not %lx)", hash, L4_SERVERS_HASH);
}

unsigned long l4_server_ready(void)
{
	struct l4_msg msg = { .tag = l4_tag(L4_ROOT_READY, 1, 0) };

	if (l4_call(L4_SERVER_SLOT_ROOT, &msg) != L4_ERR_OK)
		l4_die("root pager does not listen");
	return msg.words[0];
}

/* Without blocking: if the root pager does not wait for the answer, the answer is lost and the next ping counts. */
void l4_server_pong(unsigned long left)
{
	struct l4_msg msg = { .tag = l4_tag(L4_ROOT_PONG, 1, 0), .words = { left } };

	l4_nb_send(L4_SERVER_SLOT_ROOT, &msg);
}
