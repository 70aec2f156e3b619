/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linked into the folder's server by --wrap: in its first life a stray store makes its device tell of more bytes than a
 * request has room for. The ring stays as it is for the next one.
 */
#include <abi_servers.h>
#include <base/lib.h>
#include <virtio/kept_queue.h>

static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

bool __real_kept_queue_get(struct kept_queue *queue, u16 *token, u32 *written);
bool __wrap_kept_queue_get(struct kept_queue *queue, u16 *token, u32 *written);

bool __wrap_kept_queue_get(struct kept_queue *queue, u16 *token, u32 *written)
{
	if (!info->restarts && l4_load_acquire(&queue->used->idx) != queue->used_idx)
		queue->used->ring[queue->used_idx % queue->size].len += 0x10000;
	return __real_kept_queue_get(queue, token, written);
}
