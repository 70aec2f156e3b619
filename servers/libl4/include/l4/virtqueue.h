/* SPDX-License-Identifier: BSD-2-Clause */
/* Drive a device's split ring: the side that virtio calls the driver. */
#ifndef L4_VIRTQUEUE_H
#define L4_VIRTQUEUE_H

#include <l4/vring.h>

#define L4_VIRTQUEUE_MAX 256

struct l4_virtqueue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u64 desc_paddr, avail_paddr, used_paddr;
	volatile u16 *doorbell;
	u16 number;
	u16 size;
	u16 free_head, free_count;
	u16 avail_idx, used_idx;
	/* Private: the device reads the tables, but what it could change there is never believed. */
	u16 next[L4_VIRTQUEUE_MAX];
	u16 length[L4_VIRTQUEUE_MAX]; /* descriptors of the chain that starts here, 0: none */
	u16 token[L4_VIRTQUEUE_MAX];
	struct vring_desc kept[L4_VIRTQUEUE_MAX]; /* what we wrote into desc */
};

/* Bytes of memory for a ring of that size. */
size_t l4_virtqueue_bytes(u16 size);

/* memory is page-aligned, at physical address paddr; size is a power of two up to L4_VIRTQUEUE_MAX. */
void l4_virtqueue_init(struct l4_virtqueue *queue, void *memory, u64 paddr, u16 number, u16 size,
		       volatile u16 *doorbell);

/* Add a request of physical buffers, readable ones first; false when there is no room. Not yet visible to the
 * device. */
bool l4_virtqueue_add(struct l4_virtqueue *queue, const struct l4_buffer *buffers, u16 count, u16 token);

/* Let the device see what was added, and ring unless it asks not to. */
void l4_virtqueue_kick(struct l4_virtqueue *queue);

/* Whether what is private agrees with itself, and with count requests that the caller has out. */
bool l4_virtqueue_sound(const struct l4_virtqueue *queue, u16 count);

/* Ring, whether or not the device asks for it. */
void l4_virtqueue_ring(struct l4_virtqueue *queue);

/* Take one finished request; false when there is none. */
bool l4_virtqueue_get(struct l4_virtqueue *queue, u16 *token, u32 *written);

#endif
