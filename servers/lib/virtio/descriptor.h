/* SPDX-License-Identifier: BSD-2-Clause */
/* Descriptors of a device's ring, or of a table: written, summed up, compared. */
#ifndef VIRTIO_DESCRIPTOR_H
#define VIRTIO_DESCRIPTOR_H

#include <base/dma.h>
#include <l4/arch.h>
#include <virtio/vring.h>

/* Sum of a descriptor's words. A change of one word changes it. */
static inline u64 descriptor_sum(const struct vring_desc *desc)
{
	const volatile u64 *word = (const volatile u64 *)desc;

	_Static_assert(sizeof(*desc) == 16, "two words");
	return word[0] + word[1];
}

/* Write a buffer of a request; returns the sum of what was to be written. */
static inline u64 descriptor_put(struct vring_desc *desc, const struct dma_buffer *buffer, bool last, u16 next)
{
	struct vring_desc value = {
		.addr = buffer->addr,
		.len = buffer->bytes,
		.flags = (buffer->write ? VRING_DESC_WRITE : 0) | (last ? 0 : VRING_DESC_NEXT),
		.next = next,
	};

	*desc = value;
	return descriptor_sum(&value);
}

/* Whether a descriptor says what a buffer says. */
static inline bool descriptor_is(const struct vring_desc *desc, const struct dma_buffer *buffer, bool last)
{
	u16 flags = l4_read_once(desc->flags);

	return l4_read_once(desc->addr) == buffer->addr && l4_read_once(desc->len) == buffer->bytes &&
	       !(flags & VRING_DESC_WRITE) == !buffer->write && !(flags & VRING_DESC_NEXT) == last &&
	       !(flags & VRING_DESC_INDIRECT);
}

#endif
