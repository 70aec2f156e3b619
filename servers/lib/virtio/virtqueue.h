/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drive a device's split ring (virtio 1.2, section 2.7): the side that virtio calls the driver. Which descriptors are
 * free and which request is where stands in memory of this program; nothing is read back from memory that the device
 * reaches, but for finished requests and for checks.
 */
#ifndef VIRTIO_VIRTQUEUE_H
#define VIRTIO_VIRTQUEUE_H

#include <base/dma.h>
#include <virtio/vring.h>

#define VIRTQUEUE_MAX     256
#define VIRTQUEUE_TABLES  8
#define VIRTQUEUE_LONGEST 256 /* buffers of a request in a table: a page */

struct virtqueue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u64 desc_paddr, avail_paddr, used_paddr;
	volatile u16 *doorbell;
	u16 number;
	u16 size;
	u16 free_head, free_count;
	u16 avail_idx, used_idx;
	struct vring_desc (*tables)[VIRTQUEUE_LONGEST];
	u64 tables_paddr;
	u16 table_count, free_tables;
	/* Free tables, and of each descriptor in the ring the next, free or of the same request. */
	u16 free_table[VIRTQUEUE_TABLES];
	u16 next[VIRTQUEUE_MAX];
	/* Of the request whose first descriptor has this number: */
	u16 length[VIRTQUEUE_MAX];       /* its descriptors in the ring, 0: there is none */
	u16 table[VIRTQUEUE_MAX];        /* its table */
	u16 table_length[VIRTQUEUE_MAX]; /* its descriptors in a table, 0: it has none */
	u16 token[VIRTQUEUE_MAX];
	u64 sum[VIRTQUEUE_MAX]; /* of the words of all its descriptors, as written */
};

/* Bytes of memory for a ring of that size. */
size_t virtqueue_bytes(u16 size);

/* memory is page-aligned, at physical address paddr; size is a power of two up to VIRTQUEUE_MAX. */
void virtqueue_init(struct virtqueue *queue, void *memory, u64 paddr, u16 number, u16 size, volatile u16 *doorbell);

/* Memory, page-aligned, for tables of long requests; for a device that takes VIRTIO_F_INDIRECT_DESC. */
void virtqueue_tables(struct virtqueue *queue, void *memory, u64 paddr, u64 bytes);

/* Most buffers of a request that fits an empty ring. */
u16 virtqueue_longest(const struct virtqueue *queue);

/* Whether a request of so many buffers fits now. */
bool virtqueue_fits(const struct virtqueue *queue, u16 count);

/* Add a request of buffers, readable ones first; the device sees it after a kick. False if it does not fit. */
bool virtqueue_add(struct virtqueue *queue, const struct dma_buffer *buffers, u16 count, u16 token);

/* Whether what was added last is a request of these buffers, as the device will read it. */
bool virtqueue_holds(const struct virtqueue *queue, const struct dma_buffer *buffers, u16 count);

/* Let the device see what was added; ring the doorbell unless the device asks not to. */
void virtqueue_kick(struct virtqueue *queue);

/* Self-check: whether the bookkeeping agrees with itself, and with the count of requests that the caller has out. */
bool virtqueue_sound(const struct virtqueue *queue, u16 count);

/* Ring the doorbell, whether or not the device asks for it. */
void virtqueue_ring(struct virtqueue *queue);

/* Whether there is a finished request. */
bool virtqueue_done(const struct virtqueue *queue);

/* Take one finished request; false when there is none. */
bool virtqueue_get(struct virtqueue *queue, u16 *token, u32 *written);

#endif
