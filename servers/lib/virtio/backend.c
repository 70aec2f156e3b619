/* SPDX-License-Identifier: BSD-2-Clause */
/* Serve a guest's virtio device: the page with its status, and attaching of its rings. */
#include <base/lib.h>
#include <l4/invoke.h>

#include "backend_queue.h"

#define VENDOR_ID      0x4c4f5551
#define STATUS_UNKNOWN 0xffffffffU

void *backend_memory(struct backend *backend, u64 gpa) { return (void *)(L4_SERVER_GUEST_VADDR + gpa); }

void backend_signal(struct backend *backend, u32 bits)
{
	__atomic_fetch_or(&backend->page->interrupt_status, bits, __ATOMIC_SEQ_CST);
	l4_signal(resource_first(backend->info, L4_RESOURCE_QUEUES)->slot);
}

/* Forget the ring, and all requests of it that are out. */
static void let_go(struct backend_queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	seal_record(queue);
}

void backend_init(struct backend *backend, const struct l4_server_info *info, const struct backend_device *device)
{
	struct l4_virtio_page *page;
	unsigned int i;

	memset(backend, 0, sizeof(*backend));
	for (i = 0; i < L4_VIRTIO_QUEUES; i++)
		let_go(&backend->queue[i]);
	backend->info = info;
	backend->features = device->features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	backend->status = STATUS_UNKNOWN;
	backend->queue_count = device->queue_count;
	backend->queue_size = device->queue_size;
	backend->kept = device->kept;
	backend->page = page = backend_memory(backend, resource_first(info, L4_RESOURCE_QUEUES)->address);
	seal_record(backend);
	page->version = 1;
	page->device_id = device->device_id;
	page->vendor_id = VENDOR_ID;
	page->device_features = backend->features;
	page->queue_count = device->queue_count;
	page->config_size = device->config_bytes;
	for (i = 0; i < device->queue_count; i++)
		page->queue[i].size_max = device->queue_size;
	memcpy(page->config, device->config, device->config_bytes);
	l4_store_release(&page->magic, (u32)L4_VIRTIO_MAGIC);
}

/*
 * Requests that have been given back. The ring tells: the used index was changed to what is kept, or was about to be.
 * Where it is neither that nor the one before, a stray store of this program's last life changed the ring.
 */
static u16 given_back(struct backend *backend, unsigned int number)
{
	struct backend_queue *queue = &backend->queue[number];
	u16 used = l4_read_once(queue->used->idx), before, kept;
	u64 word;

	if (!backend->kept || backend->status != STATUS_UNKNOWN)
		return used;
	word = backend->kept[number];
	before = (u16)(word >> 16);
	kept = (u16)word;
	if (word != kept_word(queue, before, kept) || used == before || used == kept)
		return used;
	l4_write_once(queue->used->idx, before);
	return before;
}

static bool attach(struct backend *backend, unsigned int number)
{
	struct backend_queue *queue = &backend->queue[number];
	struct l4_virtio_queue *shared = &backend->page->queue[number];
	u32 size = l4_read_once(shared->size);
	u64 desc = l4_read_once(shared->desc), avail = l4_read_once(shared->driver),
	    used = l4_read_once(shared->device);
	u16 next;

	let_go(queue);
	if (!l4_read_once(shared->ready))
		return true;
	if (!size || size > backend->queue_size || (size & (size - 1)))
		return false;
	if (!in_guest(backend, desc, 16UL * size, 16) || !in_guest(backend, avail, 6 + 2UL * size, 2) ||
	    !in_guest(backend, used, 6 + 8UL * size, 4))
		return false;
	queue->desc = backend_memory(backend, desc);
	queue->avail = backend_memory(backend, avail);
	queue->used = backend_memory(backend, used);
	/* 0 for a fresh ring; else requests from here on were in flight when this program died. */
	next = given_back(backend, number);
	queue->counts = queue_counts((u16)size, next, next, next);
	seal_record(queue);
	if (backend->kept)
		l4_write_once(backend->kept[number], kept_word(queue, next, next));
	return true;
}

static void detach(struct backend *backend)
{
	unsigned int i;

	for (i = 0; i < backend->queue_count; i++) {
		let_go(&backend->queue[i]);
		if (backend->kept)
			l4_write_once(backend->kept[i], 0);
	}
}

/* Take the features that the guest has chosen. It may change them until it starts the device, and not afterwards. */
static void agree(struct backend *backend)
{
	if (!(backend->pending & VIRTIO_STATUS_FEATURES_OK))
		return;
	backend->negotiated = l4_read_once(backend->page->driver_features);
	backend->event_idx = (backend->negotiated & VIRTIO_F_EVENT_IDX) != 0;
	if (!(backend->negotiated & ~backend->features))
		return;
	backend->negotiated = 0;
	backend->pending &= ~(u32)VIRTIO_STATUS_FEATURES_OK;
	l4_write_once(backend->page->status, backend->pending);
}

/* NULL, or why not. */
static const char *attach_all(struct backend *backend)
{
	unsigned int i;

	for (i = 0; i < backend->queue_count; i++)
		if (!attach(backend, i))
			return "queue out of memory";
	return NULL;
}

enum backend_action backend_poll(struct backend *backend)
{
	struct l4_virtio_page *page = backend->page;
	const char *why;
	u32 status;
	bool running = backend->status != STATUS_UNKNOWN && (backend->status & VIRTIO_STATUS_DRIVER_OK);

	if (backend->seal != seal_of_record(backend))
		l4_die("back end was changed");
	status = l4_load_acquire(&page->status);
	if (status == backend->status)
		return BACKEND_NONE;
	backend->pending = status;
	if (!status) {
		detach(backend);
		return BACKEND_STOP;
	}
	if (!running)
		agree(backend);
	if ((backend->pending & VIRTIO_STATUS_DRIVER_OK) && !running) {
		why = backend->pending & VIRTIO_STATUS_FEATURES_OK ? attach_all(backend)
		                                                   : "started without features that the device has";
		if (why) {
			backend_break(backend, why);
			backend_done(backend);
			return BACKEND_STOP;
		}
		/* This program may have died between giving back a request and telling the guest. */
		if (backend->info->restarts)
			backend_signal(backend, L4_VIRTIO_IRQ_RING);
		return BACKEND_START;
	}
	backend_done(backend);
	return BACKEND_NONE;
}

void backend_done(struct backend *backend)
{
	struct l4_virtio_page *page = backend->page;

	backend->status = backend->pending;
	seal_record(backend);
	if (!backend->status) {
		l4_write_once(page->interrupt_status, 0);
		l4_write_once(page->needs_reset, 0);
	}
	l4_store_release(&page->status_ack, backend->status);
}

void backend_break(struct backend *backend, const char *why)
{
	if (backend->settled)
		l4_die("device %u: %s, or so it seems", l4_read_once(backend->page->device_id), why);
	l4_printf("device %u: guest broke the protocol: %s\n", l4_read_once(backend->page->device_id), why);
	detach(backend);
	l4_write_once(backend->page->needs_reset, 1);
	backend_signal(backend, L4_VIRTIO_IRQ_CONFIG);
}
