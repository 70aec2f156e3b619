/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Drive a device's split ring so that the program's next life can go on with it, while the device runs on: for a device
 * that would forget what its guest relies on if it were stopped.
 *
 * All that the next life needs is in memory that outlives a program, and each step is one store:
 *
 * - Request n of the device's life (its place in the available ring, counted from 0) uses slot n % KEPT_SLOTS: a
 *   descriptor of the ring, a table, a note. The caller lets a request in only when the one before it in the slot has
 *   gone back to the guest.
 * - The available index says which requests the device has been shown.
 * - A request's note says its token, whether it is done, and how many bytes were written.
 * - Completions taken from the used ring are the requests that went back to the guest, and the notes that say done.
 *
 * So wherever a life ends, the next finds each request once: not shown, at the device, or done.
 */
#ifndef VIRTIO_KEPT_QUEUE_H
#define VIRTIO_KEPT_QUEUE_H

#include <base/dma.h>
#include <virtio/vring.h>

#define KEPT_SLOTS 16
/*
 * Most requests that have not gone back to the guest. One less than slots: the note of the last request that the device
 * was shown, by which the next life counts them, is then not that of one which it was not.
 */
#define KEPT_REQUESTS (KEPT_SLOTS - 1)
#define KEPT_LONGEST  128 /* buffers of a request; also the largest ring */
#define KEPT_TOKENS   256 /* tokens go up by one with each request, modulo this */

/* What is kept beside the ring. */
struct kept_record {
	u64 valid;            /* the ring's size and a mark, while there is something to go on with */
	u64 note[KEPT_SLOTS]; /* 0: none yet */
	u64 sum[KEPT_SLOTS];  /* of the words of all descriptors, as written */
};

struct kept_queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	struct kept_record *record;
	struct vring_desc (*tables)[KEPT_LONGEST];
	u64 desc_paddr, avail_paddr, used_paddr, tables_paddr;
	volatile u16 *doorbell;
	u16 size; /* of the ring, a power of two */
	u16 avail_idx, used_idx;
	u32 out;   /* slots whose request is at the device */
	u32 again; /* slots whose request a former life knew to be done */
};

/* Bytes of memory that the largest takes. */
size_t kept_queue_bytes(void);

/* Say where it is; nothing is changed there. memory is page-aligned, at physical address paddr. */
void kept_queue_place(struct kept_queue *queue, void *memory, u64 paddr, u16 size, volatile u16 *doorbell);

/* Empty the ring, with nothing to go on with; before the device gets it. */
void kept_queue_clear(struct kept_queue *queue);

/* From here on the next life can go on with it; no more. */
void kept_queue_keep(struct kept_queue *queue);
void kept_queue_drop(struct kept_queue *queue);
bool kept_queue_is_kept(const struct kept_queue *queue);

/*
 * Go on where the last life ended. first: token of the oldest request that has not gone back to the guest. Returns how
 * many from it on the device has been shown, or -1 if what was kept contradicts itself.
 */
int kept_queue_resume(struct kept_queue *queue, u16 first);

/* Operations as of virtqueue.h; add never finds the ring full. */
void kept_queue_add(struct kept_queue *queue, const struct dma_buffer *buffers, u16 count, u16 token);
bool kept_queue_holds(const struct kept_queue *queue, const struct dma_buffer *buffers, u16 count);
void kept_queue_kick(struct kept_queue *queue);
void kept_queue_ring(struct kept_queue *queue);
bool kept_queue_done(const struct kept_queue *queue);
bool kept_queue_get(struct kept_queue *queue, u16 *token, u32 *written);

/* Self-check: whether the bookkeeping agrees with the notes, and with the count of requests at the device. */
bool kept_queue_sound(const struct kept_queue *queue, u16 count);

#endif
