/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linked into a server by --wrap: in its first CRASH_LIVES lives the server dies (or hangs) at every CRASH_EVERYth
 * request that it gives back.
 */
#include <virtio/backend.h>

void __real_backend_push(struct backend *backend, unsigned int queue, u16 head, u32 written);
void __wrap_backend_push(struct backend *backend, unsigned int queue, u16 head, u32 written);

void __wrap_backend_push(struct backend *backend, unsigned int queue, u16 head, u32 written)
{
	static unsigned int count;

	if (++count == CRASH_EVERY && backend->info->restarts < CRASH_LIVES) {
		if (CRASH_HANGS)
			for (;;)
				__asm__ volatile("" : : : "memory");
		__builtin_trap();
	}
	__real_backend_push(backend, queue, head, written);
}
