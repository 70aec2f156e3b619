/* SPDX-License-Identifier: BSD-2-Clause */
/* Drive a device's split ring. */
#include <l4/arch.h>
#include <l4/lib.h>
#include <l4/virtqueue.h>

/* Used ring after descriptors and available ring, each aligned as section 2.7 asks; the event fields count
 * too. */
static size_t used_offset(u16 size)
{
	return (16UL * size + 6 + 2UL * size + 63) & ~63UL;
}

size_t l4_virtqueue_bytes(u16 size)
{
	return used_offset(size) + 6 + 8UL * size;
}

void l4_virtqueue_init(struct l4_virtqueue *queue, void *memory, u64 paddr, u16 number, u16 size,
		       volatile u16 *doorbell)
{
	u16 i;

	memset(memory, 0, l4_virtqueue_bytes(size));
	memset(queue, 0, sizeof(*queue));
	queue->desc = memory;
	queue->avail = (void *)((char *)memory + 16UL * size);
	queue->used = (void *)((char *)memory + used_offset(size));
	queue->desc_paddr = paddr;
	queue->avail_paddr = paddr + 16UL * size;
	queue->used_paddr = paddr + used_offset(size);
	queue->number = number;
	queue->size = size;
	queue->free_count = size;
	queue->doorbell = doorbell;
	for (i = 0; i < size; i++)
		queue->next[i] = i + 1;
}

bool l4_virtqueue_add(struct l4_virtqueue *queue, const struct l4_buffer *buffers, u16 count, u16 token)
{
	u16 head = queue->free_head, at = head, i;

	if (count > queue->free_count)
		return false;
	for (i = 0; i < count; i++) {
		struct vring_desc *desc = &queue->desc[at];
		u16 next = queue->next[at];

		desc->addr = buffers[i].addr;
		desc->len = buffers[i].bytes;
		desc->flags =
		    (buffers[i].write ? VRING_DESC_WRITE : 0) | (i + 1 < count ? VRING_DESC_NEXT : 0);
		desc->next = next;
		queue->kept[at] = *desc;
		if (i + 1 == count)
			queue->free_head = next;
		else
			at = next;
	}
	queue->free_count -= count;
	queue->length[head] = count;
	queue->token[head] = token;
	queue->avail->ring[queue->avail_idx++ % queue->size] = head;
	return true;
}

void l4_virtqueue_kick(struct l4_virtqueue *queue)
{
	l4_store_release(&queue->avail->idx, queue->avail_idx);
	l4_mb(); /* before we look at the flag, and before the doorbell */
	if (!(l4_read_once(queue->used->flags) & VRING_USED_NO_NOTIFY))
		*queue->doorbell = queue->number;
}

/* All of it, by words. */
static bool same(const struct vring_desc *a, const struct vring_desc *b)
{
	const volatile u64 *x = (const volatile u64 *)a;
	const u64 *y = (const u64 *)b;

	_Static_assert(sizeof(*a) == 16, "two words");
	return x[0] == y[0] && x[1] == y[1];
}

bool l4_virtqueue_get(struct l4_virtqueue *queue, u16 *token, u32 *written)
{
	u32 head;
	u16 at, i;

	if (l4_load_acquire(&queue->used->idx) == queue->used_idx)
		return false;
	head = l4_read_once(queue->used->ring[queue->used_idx % queue->size].id);
	*written = l4_read_once(queue->used->ring[queue->used_idx % queue->size].len);
	queue->used_idx++;
	if (head >= queue->size || !queue->length[head])
		l4_die("device returned request %u, which it does not have", head);
	*token = queue->token[head];
	/* If a table is not as we wrote it, the device may have done something else than it was asked to. */
	for (at = (u16)head, i = 1;; i++) {
		if (!same(&queue->desc[at], &queue->kept[at]))
			l4_die("descriptor %u was changed", at);
		if (i >= queue->length[head])
			break;
		at = queue->next[at] % queue->size;
	}
	queue->next[at] = queue->free_head;
	queue->free_head = (u16)head;
	queue->free_count += queue->length[head];
	queue->length[head] = 0;
	return true;
}

bool l4_virtqueue_sound(const struct l4_virtqueue *queue, u16 count)
{
	u16 at = queue->free_head, i, heads = 0, descriptors = queue->free_count;

	for (i = 0; i < queue->free_count; i++, at = queue->next[at])
		if (at >= queue->size || queue->length[at])
			return false;
	for (i = 0; i < queue->size; i++) {
		descriptors += queue->length[i];
		heads += queue->length[i] != 0;
	}
	return descriptors == queue->size && heads == count;
}

void l4_virtqueue_ring(struct l4_virtqueue *queue)
{
	*queue->doorbell = queue->number;
}
