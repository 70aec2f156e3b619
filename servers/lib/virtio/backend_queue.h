/* SPDX-License-Identifier: BSD-2-Clause */
/* What the two parts of a back end share: backend.c has the device's page, backend_queue.c its rings. */
#ifndef VIRTIO_BACKEND_QUEUE_H
#define VIRTIO_BACKEND_QUEUE_H

#include <base/resource.h>
#include <hardened/seal.h>
#include <virtio/backend.h>

/* struct backend_queue's counts: four numbers of 16 bits in one word, so that it is loaded, checked and used as one. */
enum {
	QUEUE_SIZE = 0, /* 0: not in use */
	QUEUE_AVAIL_NEXT = 16,
	QUEUE_USED_NEXT = 32,
	QUEUE_USED_TOLD = 48, /* QUEUE_USED_NEXT at the last backend_interrupt(); the used index until a publish */
};

static inline u16 queue_count_of(const struct backend_queue *queue, unsigned int which)
{
	return (u16)(queue->counts >> which);
}

static inline u64 queue_counts(u16 size, u16 avail_next, u16 used_next, u16 used_told)
{
	return (u64)size << QUEUE_SIZE | (u64)avail_next << QUEUE_AVAIL_NEXT | (u64)used_next << QUEUE_USED_NEXT |
	       (u64)used_told << QUEUE_USED_TOLD;
}

/* Whether a range that the guest names is in its RAM. */
static inline bool in_guest(const struct backend *backend, u64 gpa, u64 bytes, u64 align)
{
	u64 size = resource_first(backend->info, L4_RESOURCE_GUEST_MEMORY)->size;

	return gpa <= size && bytes <= size - gpa && gpa % align == 0;
}

/*
 * The word of a queue in kept: the used index, beside it the one before while it changes, and a sum of the ring and of
 * both, so that no other word passes for it.
 */
static inline u64 kept_word(const struct backend_queue *queue, u16 before, u16 used)
{
	u64 ring = seal_add(seal_add(seal_add(SEAL_START, (u64)queue->desc), (u64)queue->avail), (u64)queue->used);
	u32 both = (u32)before << 16 | used;

	return seal_add(ring, both) << 32 | both;
}

/* Put the bits in the page's interrupt_status and signal the guest. */
void backend_signal(struct backend *backend, u32 bits);

#endif
