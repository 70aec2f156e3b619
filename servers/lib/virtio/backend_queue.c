/* SPDX-License-Identifier: BSD-2-Clause */
/* Serve a guest's virtio device: its rings. */
#include <base/lib.h>
#include <hardened/guarded.h>
#include <l4/arch.h>

#include "backend_queue.h"

#define checked(backend, number) sealed_copy(&(backend)->queue[number], "queue %u was changed", number)

/* Change one of the counts, in the checked copy and in the queue. */
static inline __attribute__((always_inline)) void count_on(struct backend_queue *queue, struct backend_queue *copy,
                                                           unsigned int which, u16 value)
{
	copy->counts = (copy->counts & ~(0xffffUL << which)) | (u64)value << which;
	queue->counts = copy->counts;
	queue->seal = seal_of_record(copy);
}

/* Add one piece of a request. NULL, or why not. */
static inline const char *add_buffer(struct backend *backend, struct guest_chain *chain, const struct vring_desc *desc)
{
	/* Also what ends a loop of descriptors. */
	if (chain->count == CHAIN_MAX)
		return "request too long";
	if (!desc->len || !in_guest(backend, desc->addr, desc->len, 1))
		return "buffer out of memory";
	if (desc->flags & VRING_DESC_WRITE)
		chain->writable += desc->len;
	else if (chain->writable)
		return "readable buffer after a writable one";
	else
		chain->readable += desc->len;
	chain->buffer[chain->count++] =
		(struct guest_buffer){ desc->addr, desc->len, (desc->flags & VRING_DESC_WRITE) != 0 };
	return NULL;
}

/* Collect a request from its descriptors. NULL, or why not. */
static const char *walk(struct backend *backend, const struct backend_queue *queue, struct guest_chain *chain)
{
	const struct vring_desc *table = queue->desc;
	u32 limit = queue_count_of(queue, QUEUE_SIZE), at = chain->head;
	bool indirect = false;
	const char *error;

	for (;;) {
		struct vring_desc desc;

		if (at >= limit)
			return "descriptor out of range";
		desc.addr = l4_read_once(table[at].addr);
		desc.len = l4_read_once(table[at].len);
		desc.flags = l4_read_once(table[at].flags);
		desc.next = l4_read_once(table[at].next);
		if (desc.flags & VRING_DESC_INDIRECT) {
			if (indirect || chain->count || (desc.flags & VRING_DESC_NEXT))
				return "misplaced indirect table";
			if (!desc.len || desc.len % 16 || !in_guest(backend, desc.addr, desc.len, 8))
				return "indirect table out of memory";
			table = backend_memory(backend, desc.addr);
			limit = desc.len / 16;
			at = 0;
			indirect = true;
			continue;
		}
		error = add_buffer(backend, chain, &desc);
		if (error || !(desc.flags & VRING_DESC_NEXT))
			return error;
		at = desc.next;
	}
}

int backend_peek(struct backend *backend, unsigned int number, struct guest_chain *chain)
{
	struct backend_queue queue = checked(backend, number);
	u16 size = queue_count_of(&queue, QUEUE_SIZE), next = queue_count_of(&queue, QUEUE_AVAIL_NEXT), waiting;
	const char *error;

	if (!size)
		return 0;
	waiting = (u16)(l4_load_acquire(&queue.avail->idx) - next);
	if (!waiting)
		return 0;
	chain->head = l4_read_once(queue.avail->ring[next % size]);
	chain->count = 0;
	chain->readable = chain->writable = 0;
	/* With more requests out than the ring can hold, the guest would overrun whoever counts them. */
	if (waiting > size || (u16)(next - queue_count_of(&queue, QUEUE_USED_NEXT)) >= size)
		error = "available index out of range";
	else
		error = walk(backend, &queue, chain);
	if (!error)
		return 1;
	backend_break(backend, error);
	return -1;
}

bool backend_waiting(struct backend *backend, unsigned int number)
{
	struct backend_queue queue = checked(backend, number);

	return queue_count_of(&queue, QUEUE_SIZE) &&
	       l4_read_once(queue.avail->idx) != queue_count_of(&queue, QUEUE_AVAIL_NEXT);
}

void backend_advance(struct backend *backend, unsigned int number)
{
	struct backend_queue queue = checked(backend, number);

	count_on(&backend->queue[number], &queue, QUEUE_AVAIL_NEXT,
	         (u16)(queue_count_of(&queue, QUEUE_AVAIL_NEXT) + 1));
}

void backend_push(struct backend *backend, unsigned int number, u16 head, u32 written)
{
	struct backend_queue queue = checked(backend, number);
	u16 size = queue_count_of(&queue, QUEUE_SIZE), next = queue_count_of(&queue, QUEUE_USED_NEXT), due;
	u16 told = queue_count_of(&queue, QUEUE_USED_TOLD);
	u64 length = guard(written); /* nothing else tells it */
	struct vring_used_elem *elem;

	if (!size)
		return;
	/* Given back in order: which is due, and where, stands in the rings. */
	due = l4_read_once(queue.avail->ring[next % size]);
	if (l4_read_once(queue.used->idx) != told || due != head) {
		backend_break(backend, "request given back is not the one that is due");
		return;
	}
	elem = &queue.used->ring[next % size];
	l4_write_once(elem->id, due);
	l4_write_once(elem->len, guarded_value(length, "length of a request"));
	count_on(&backend->queue[number], &queue, QUEUE_USED_NEXT, (u16)(next + 1));
}

void backend_publish(struct backend *backend, unsigned int number)
{
	struct backend_queue queue = checked(backend, number);
	u16 next = queue_count_of(&queue, QUEUE_USED_NEXT), told = queue_count_of(&queue, QUEUE_USED_TOLD);

	if (!queue_count_of(&queue, QUEUE_SIZE) || told == next)
		return;
	if (l4_read_once(queue.used->idx) != told) {
		backend_break(backend, "used index is not what it was");
		return;
	}
	if (backend->kept)
		l4_write_once(backend->kept[number], kept_word(&queue, told, next));
	l4_store_release(&queue.used->idx, next);
	if (backend->kept)
		l4_write_once(backend->kept[number], kept_word(&queue, next, next));
}

void backend_interrupt(struct backend *backend, unsigned int number)
{
	struct backend_queue queue = checked(backend, number);
	u16 size = queue_count_of(&queue, QUEUE_SIZE), told = queue_count_of(&queue, QUEUE_USED_TOLD),
	    next = queue_count_of(&queue, QUEUE_USED_NEXT);

	if (!size || told == next)
		return;
	count_on(&backend->queue[number], &queue, QUEUE_USED_TOLD, next);
	l4_mb();
	if (backend->event_idx) {
		/* Section 2.7.7.2: was the entry that it waits for among those given back since? */
		u16 event = l4_read_once(queue.avail->ring[size]);

		if ((u16)(next - event - 1) >= (u16)(next - told))
			return;
	} else if (l4_read_once(queue.avail->flags) & VRING_AVAIL_NO_INTERRUPT) {
		return;
	}
	backend_signal(backend, L4_VIRTIO_IRQ_RING);
}

bool backend_kicks(struct backend *backend, unsigned int number, bool on)
{
	struct backend_queue queue = checked(backend, number);
	u16 size = queue_count_of(&queue, QUEUE_SIZE), next = queue_count_of(&queue, QUEUE_AVAIL_NEXT);

	if (!size)
		return false;
	/* By index: the next request is worth a kick. Until then the index asked for last has passed anyway. */
	if (!backend->event_idx)
		l4_write_once(queue.used->flags, on ? 0 : VRING_USED_NO_NOTIFY);
	else if (on)
		l4_write_once(*(u16 *)&queue.used->ring[size], next);
	l4_mb();
	return on && l4_read_once(queue.avail->idx) != next;
}

u16 backend_taken(struct backend *backend, unsigned int number)
{
	struct backend_queue queue = checked(backend, number);

	return (u16)(queue_count_of(&queue, QUEUE_AVAIL_NEXT) - queue_count_of(&queue, QUEUE_USED_NEXT));
}

u16 backend_given_back(struct backend *backend, unsigned int number)
{
	struct backend_queue queue = checked(backend, number);

	return queue_count_of(&queue, QUEUE_USED_NEXT);
}
