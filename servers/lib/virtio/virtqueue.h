/* SPDX-License-Identifier: BSD-2-Clause */
/* Drive a device's split ring: the side that virtio calls the driver. */
#ifndef L4_VIRTQUEUE_H
#define L4_VIRTQUEUE_H

#include <virtio/vring.h>

#define L4_VIRTQUEUE_MAX     256
#define L4_VIRTQUEUE_TABLES  8
#define L4_VIRTQUEUE_LONGEST 256 /* buffers of a request in a table: a page */

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
	struct vring_desc (*tables)[L4_VIRTQUEUE_LONGEST];
	u64 tables_paddr;
	u16 table_count, free_tables;
	/* Private: the device reads the tables, but what it could change there is never believed. */
	u16 free_table[L4_VIRTQUEUE_TABLES];
	u16 next[L4_VIRTQUEUE_MAX];
	/* Of the request that starts here: */
	u16 length[L4_VIRTQUEUE_MAX];       /* descriptors in the ring, 0: there is none */
	u16 table[L4_VIRTQUEUE_MAX];        /* its table */
	u16 table_length[L4_VIRTQUEUE_MAX]; /* and descriptors there, 0: it has none */
	u16 token[L4_VIRTQUEUE_MAX];
	u64 sum[L4_VIRTQUEUE_MAX]; /* of the words of all descriptors, as we wrote them */
};

/* Bytes of memory for a ring of that size. */
size_t l4_virtqueue_bytes(u16 size);

/* memory is page-aligned, at physical address paddr; size is a power of two up to L4_VIRTQUEUE_MAX. */
void l4_virtqueue_init(struct l4_virtqueue *queue, void *memory, u64 paddr, u16 number, u16 size,
                       volatile u16 *doorbell);

/* Memory, page-aligned, for tables of long requests; for a device that takes VIRTIO_F_INDIRECT_DESC. */
void l4_virtqueue_tables(struct l4_virtqueue *queue, void *memory, u64 paddr, u64 bytes);

/* Most buffers of a request that fits an empty ring. */
u16 l4_virtqueue_longest(const struct l4_virtqueue *queue);

/* Whether a request of so many buffers fits now. */
bool l4_virtqueue_fits(const struct l4_virtqueue *queue, u16 count);

/* Add a request of physical buffers, readable ones first; false when it does not fit. Not yet visible to the
 * device. */
bool l4_virtqueue_add(struct l4_virtqueue *queue, const struct l4_buffer *buffers, u16 count, u16 token);

/* Whether what was added last is a request of these buffers, as the device will read it. */
bool l4_virtqueue_holds(const struct l4_virtqueue *queue, const struct l4_buffer *buffers, u16 count);

/* Let the device see what was added, and ring unless it asks not to. */
void l4_virtqueue_kick(struct l4_virtqueue *queue);

/* Whether what is private agrees with itself, and with count requests that the caller has out. */
bool l4_virtqueue_sound(const struct l4_virtqueue *queue, u16 count);

/* Ring, whether or not the device asks for it. */
void l4_virtqueue_ring(struct l4_virtqueue *queue);

/* Whether there is a finished request. */
bool l4_virtqueue_done(const struct l4_virtqueue *queue);

/* Take one finished request; false when there is none. */
bool l4_virtqueue_get(struct l4_virtqueue *queue, u16 *token, u32 *written);

#endif
