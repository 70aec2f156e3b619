/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linked into a server by --wrap: in its first LONGER_LIVES lives its device tells of more bytes than a request has room
 * for. After those it is the server that it should be.
 */
#include <abi_servers.h>
#include <base/lib.h>
#include <class/driver.h>

static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

bool __real_driver_complete(unsigned int number, u16 *token, u32 *written);
bool __wrap_driver_complete(unsigned int number, u16 *token, u32 *written);

bool __wrap_driver_complete(unsigned int number, u16 *token, u32 *written)
{
	bool done = __real_driver_complete(number, token, written);

	if (done && info->restarts < LONGER_LIVES)
		*written += 0x10000;
	return done;
}
