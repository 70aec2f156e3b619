/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serve a guest's virtio device: its virtio_page and rings, the side that virtio calls the device.
 *
 * The guest may write anything to its memory at any time. So every field is read once and checked, and what
 * matters later is kept here. Requests are given back in the order in which they came: then those in flight
 * are exactly [used idx, avail idx), and a back end that was restarted goes on from there without any other
 * state.
 */
#ifndef BACKEND_H
#define BACKEND_H

#include <base/dma.h>
#include <virtio/vring.h>

#define CHAIN_MAX 256 /* buffers of one request */

struct guest_chain {
	u16 head;
	u16 count;
	u64 readable, writable;                /* bytes */
	struct guest_buffer buffer[CHAIN_MAX]; /* inside of guest RAM; readable ones first */
};

struct backend_queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u16 size; /* 0: not in use */
	u16 avail_next;
	u16 used_next;
	u16 used_told; /* used_next when we last thought about an interrupt */
	u64 seal;      /* of what may not change while it is attached */
	u64 counts;    /* of what only we change: a store that went astray shows before it does harm */
};

enum backend_action {
	BACKEND_NONE,
	BACKEND_STOP,  /* quiesce the device, then backend_done() */
	BACKEND_START, /* start the device: queues are attached; then backend_done() */
};

struct backend {
	const struct l4_server_info *info;
	struct l4_virtio_page *page;
	u64 features;
	u64 negotiated; /* those that the guest chose, read once when it started the device: some of features */
	u32 status;     /* on which we have acted */
	bool event_idx; /* the guest says by index, not by flag, when it wants interrupts */
	bool settled;   /* older than a sign of life */
	u32 pending;    /* status that backend_done() acknowledges */
	u64 seal; /* of all but settled, pending and the queues, from one backend_done() to the next; 0: none yet */
	unsigned int queue_count;
	u16 queue_size; /* largest that we take: the guest can write to size_max */
	struct backend_queue queue[L4_VIRTIO_QUEUES];
	/*
	 * Where the number of requests given back is noted for our successor, a word for each queue in memory that
	 * outlives us; NULL: nowhere. The guest's ring says it too, but a wild end may have written anything there.
	 * Set after backend_init().
	 */
	u64 *kept;
};

/* Publish the device. A guest that is already running with it (we were restarted) is left as it is. */
void backend_init(struct backend *backend, const struct l4_server_info *info, u32 device_id, u64 features,
                  unsigned int queue_count, u16 queue_size, const void *config, u32 config_bytes);

/* Look at the status that the guest has written. */
enum backend_action backend_poll(struct backend *backend);
void backend_done(struct backend *backend);

/* 1: *chain is the oldest request not yet advanced over; 0: there is none; -1: the ring makes no sense. */
int backend_peek(struct backend *backend, unsigned int queue, struct guest_chain *chain);
void backend_advance(struct backend *backend, unsigned int queue);

/* Give back the oldest request that is out; then interrupt the guest when a batch is through. */
void backend_push(struct backend *backend, unsigned int queue, u16 head, u32 written);
void backend_interrupt(struct backend *backend, unsigned int queue);

/* Ask for kicks, or for none while we are looking anyway. True: a request came before we asked. */
bool backend_kicks(struct backend *backend, unsigned int queue, bool on);

/*
 * The ring makes no sense, by the guest's doing or by ours. If we are settled, we die: our successor looks with fresh
 * eyes. Else it is the guest's, and all queues are let go until it resets the device.
 */
void backend_break(struct backend *backend, const char *why);

/* Bytes of guest RAM; the range has been checked. */
void *backend_memory(struct backend *backend, u64 gpa);

#endif
