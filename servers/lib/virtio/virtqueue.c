/* SPDX-License-Identifier: BSD-2-Clause */
/* Drive a device's split ring. */
#include <l4/arch.h>
#include <base/lib.h>
#include <virtio/descriptor.h>
#include <virtio/virtqueue.h>

#define DIRECT_MAX 8 /* descriptors in the ring; a longer request gets a table, so that others find room */

size_t virtqueue_bytes(u16 size) { return VRING_BYTES(size); }

void virtqueue_init(struct virtqueue *queue, void *memory, u64 paddr, u16 number, u16 size, volatile u16 *doorbell)
{
	u16 i;

	memset(memory, 0, virtqueue_bytes(size));
	memset(queue, 0, sizeof(*queue));
	queue->desc = memory;
	queue->avail = (void *)((char *)memory + VRING_AVAIL_OFFSET(size));
	queue->used = (void *)((char *)memory + VRING_USED_OFFSET(size));
	queue->desc_paddr = paddr;
	queue->avail_paddr = paddr + VRING_AVAIL_OFFSET(size);
	queue->used_paddr = paddr + VRING_USED_OFFSET(size);
	queue->number = number;
	queue->size = size;
	queue->free_count = size;
	queue->doorbell = doorbell;
	for (i = 0; i < size; i++)
		queue->next[i] = i + 1;
}

void virtqueue_tables(struct virtqueue *queue, void *memory, u64 paddr, u64 bytes)
{
	u64 count = bytes / sizeof(queue->tables[0]);
	u16 i;

	queue->tables = memory;
	queue->tables_paddr = paddr;
	queue->table_count = queue->free_tables = (u16)(count < VIRTQUEUE_TABLES ? count : VIRTQUEUE_TABLES);
	for (i = 0; i < queue->table_count; i++)
		queue->free_table[i] = i;
}

u16 virtqueue_longest(const struct virtqueue *queue) { return queue->table_count ? VIRTQUEUE_LONGEST : queue->size; }

static bool wants_table(const struct virtqueue *queue, u16 count)
{
	return count > DIRECT_MAX && count <= VIRTQUEUE_LONGEST && queue->free_tables;
}

bool virtqueue_fits(const struct virtqueue *queue, u16 count)
{
	return queue->free_count >= (wants_table(queue, count) ? 1 : count);
}

/* Put the request into a table of its own (section 2.7.5.3), which takes one descriptor of the ring. */
static void add_table(struct virtqueue *queue, u16 head, const struct dma_buffer *buffers, u16 count)
{
	u16 number = queue->free_table[--queue->free_tables] % VIRTQUEUE_TABLES, i;
	struct vring_desc value = {
		.addr = queue->tables_paddr + number * sizeof(queue->tables[0]),
		.len = count * sizeof(value),
		.flags = VRING_DESC_INDIRECT,
	};

	queue->table[head] = number;
	queue->table_length[head] = count;
	queue->desc[head] = value;
	queue->sum[head] = descriptor_sum(&value);
	for (i = 0; i < count; i++)
		queue->sum[head] += descriptor_put(&queue->tables[number][i], &buffers[i], i + 1 == count, i + 1);
	queue->free_head = queue->next[head];
	queue->free_count--;
	queue->length[head] = 1;
}

/* Put the request into descriptors of the ring. */
static void add_chain(struct virtqueue *queue, u16 head, const struct dma_buffer *buffers, u16 count)
{
	u16 at = head, i;

	queue->table_length[head] = 0;
	queue->sum[head] = 0;
	for (i = 0; i < count; i++) {
		u16 next = queue->next[at];

		queue->sum[head] += descriptor_put(&queue->desc[at], &buffers[i], i + 1 == count, next);
		at = next;
	}
	queue->free_head = at;
	queue->free_count -= count;
	queue->length[head] = count;
}

bool virtqueue_add(struct virtqueue *queue, const struct dma_buffer *buffers, u16 count, u16 token)
{
	u16 head = queue->free_head;

	if (!virtqueue_fits(queue, count))
		return false;
	if (wants_table(queue, count))
		add_table(queue, head, buffers, count);
	else
		add_chain(queue, head, buffers, count);
	queue->token[head] = token;
	queue->avail->ring[queue->avail_idx++ % queue->size] = head;
	return true;
}

bool virtqueue_holds(const struct virtqueue *queue, const struct dma_buffer *buffers, u16 count)
{
	u16 head = l4_read_once(queue->avail->ring[(u16)(queue->avail_idx - 1) % queue->size]), at = head, i;
	const struct vring_desc *table = queue->desc;

	if (head >= queue->size)
		return false;
	if (l4_read_once(table[head].flags) & VRING_DESC_INDIRECT) {
		u64 offset = l4_read_once(table[head].addr) - queue->tables_paddr;

		if (l4_read_once(table[head].len) != count * sizeof(*table) || offset % sizeof(queue->tables[0]) ||
		    offset / sizeof(queue->tables[0]) >= queue->table_count)
			return false;
		table = queue->tables[offset / sizeof(queue->tables[0])];
		at = 0;
	}
	for (i = 0; i < count; i++) {
		if (!descriptor_is(&table[at], &buffers[i], i + 1 == count))
			return false;
		at = l4_read_once(table[at].next) % VIRTQUEUE_MAX;
	}
	return true;
}

void virtqueue_kick(struct virtqueue *queue)
{
	l4_store_release(&queue->avail->idx, queue->avail_idx);
	l4_mb(); /* before the flag is read, and before the doorbell */
	if (!(l4_read_once(queue->used->flags) & VRING_USED_NO_NOTIFY))
		*queue->doorbell = queue->number;
}

bool virtqueue_done(const struct virtqueue *queue) { return l4_load_acquire(&queue->used->idx) != queue->used_idx; }

bool virtqueue_get(struct virtqueue *queue, u16 *token, u32 *written)
{
	u64 found = 0;
	u32 head;
	u16 at, i;

	if (!virtqueue_done(queue))
		return false;
	head = l4_read_once(queue->used->ring[queue->used_idx % queue->size].id);
	*written = l4_read_once(queue->used->ring[queue->used_idx % queue->size].len);
	queue->used_idx++;
	if (head >= queue->size || !queue->length[head])
		l4_die("device returned request %u, which it does not have", head);
	*token = queue->token[head];
	for (at = (u16)head, i = 1;; i++) {
		found += descriptor_sum(&queue->desc[at]);
		if (i >= queue->length[head])
			break;
		at = queue->next[at] % queue->size;
	}
	for (i = 0; i < queue->table_length[head] && i < VIRTQUEUE_LONGEST; i++)
		found += descriptor_sum(&queue->tables[queue->table[head] % VIRTQUEUE_TABLES][i]);
	/* If a stray store changed a descriptor, the device may have done something else than it was asked to. */
	if (found != queue->sum[head])
		l4_die("descriptors of request %u were changed", head);
	if (queue->table_length[head])
		queue->free_table[queue->free_tables++ % VIRTQUEUE_TABLES] = queue->table[head];
	queue->next[at] = queue->free_head;
	queue->free_head = (u16)head;
	queue->free_count += queue->length[head];
	queue->length[head] = 0;
	return true;
}

bool virtqueue_sound(const struct virtqueue *queue, u16 count)
{
	u16 at = queue->free_head, i, heads = 0, descriptors = queue->free_count, tables = queue->free_tables;

	for (i = 0; i < queue->free_count; i++, at = queue->next[at])
		if (at >= queue->size || queue->length[at])
			return false;
	for (i = 0; i < queue->size; i++) {
		descriptors += queue->length[i];
		heads += queue->length[i] != 0;
		tables += queue->length[i] && queue->table_length[i];
	}
	return descriptors == queue->size && heads == count && tables == queue->table_count;
}

void virtqueue_ring(struct virtqueue *queue) { *queue->doorbell = queue->number; }
