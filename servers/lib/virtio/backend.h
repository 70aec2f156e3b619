/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Serve a guest's virtio device: its virtio_page and rings, the side that virtio calls the device.
 *
 * The guest may write anything to its memory at any time. So every field is read once and checked, and what
 * matters later is kept here. Requests are given back in the order in which they came: then those in flight
 * are exactly [used idx, avail idx), and a back end that was restarted goes on from there without any other
 * state.
 */
#ifndef VIRTIO_BACKEND_H
#define VIRTIO_BACKEND_H

#include <abi_servers.h>
#include <base/dma.h>
#include <virtio/vring.h>

/* What the guest is shown. */
struct backend_device {
	u32 device_id;
	u64 features; /* offered, beside those of every back end */
	unsigned int queue_count;
	u16 queue_size; /* largest that is taken */
	const void *config;
	u32 config_bytes;
	/*
	 * Where the number of requests given back is noted for the next life of this program, a word for each queue in
	 * memory that outlives it; NULL: nowhere. The guest's ring says it too, but a stray store may have changed it.
	 */
	u64 *kept;
};

struct backend_queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u64 counts; /* size, next and told indices: backend_queue.h */
	u64 seal;   /* of all above, always */
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
	u64 *kept;
	u32 status; /* of the guest's, the last that was acted on */
	u32 queue_count;
	u32 queue_size; /* the guest can write to the page's size_max */
	u32 event_idx;  /* 1: the guest says by index, not by flag, when it wants interrupts */
	u64 seal;       /* of all above, from one backend_done() to the next */
	bool settled;   /* has answered a ping */
	u32 pending;    /* status that backend_done() acknowledges */
	struct backend_queue queue[L4_VIRTIO_QUEUES];
};

/* Publish the device. A guest that is already running with it (this is a restart) is left as it is. */
void backend_init(struct backend *backend, const struct l4_server_info *info, const struct backend_device *device);

/* Look at the status that the guest has written. */
enum backend_action backend_poll(struct backend *backend);
void backend_done(struct backend *backend);

/* 1: *chain is the oldest request not yet advanced over; 0: there is none; -1: the ring is damaged. */
int backend_peek(struct backend *backend, unsigned int queue, struct guest_chain *chain);
void backend_advance(struct backend *backend, unsigned int queue);

/* Whether there is a request not yet advanced over. */
bool backend_waiting(struct backend *backend, unsigned int queue);

/*
 * Give back the oldest request that is out; then show the guest all that were, and interrupt it, before the next push. It
 * finds all of them or none, also when this program ends meanwhile: the pieces of a received packet are requests of their
 * own.
 */
void backend_push(struct backend *backend, unsigned int queue, u16 head, u32 written);
void backend_publish(struct backend *backend, unsigned int queue);
void backend_interrupt(struct backend *backend, unsigned int queue);

/* Ask for kicks, or for none while looking anyway. True: a request came before the guest was asked. */
bool backend_kicks(struct backend *backend, unsigned int queue, bool on);

/* Requests advanced over and not pushed; pushed so far, modulo 1 << 16, as the used ring counts. */
u16 backend_taken(struct backend *backend, unsigned int queue);
u16 backend_given_back(struct backend *backend, unsigned int queue);

/*
 * The ring is damaged, by the guest or by this program. In a program that has answered a ping, end it: its successor
 * reads the ring anew. Else it is the guest's doing, and all queues are let go until it resets the device.
 */
void backend_break(struct backend *backend, const char *why);

/* Bytes of guest RAM; the range has been checked. */
void *backend_memory(struct backend *backend, u64 gpa);

#endif
