/* SPDX-License-Identifier: BSD-2-Clause */
/* Serve a guest's virtio device. */
#include <virtio/backend.h>
#include <l4/invoke.h>
#include <base/lib.h>

#define STATUS_UNKNOWN 0xffffffffU

void *backend_memory(struct backend *backend, u64 gpa) { return (void *)(L4_SERVER_GUEST_VADDR + gpa); }

static bool in_guest(struct backend *backend, u64 gpa, u64 bytes, u64 align)
{
	u64 size = backend->info->guest_size;

	return gpa <= size && bytes <= size - gpa && gpa % align == 0;
}

static u64 seal(const struct backend_queue *queue)
{
	return (u64)queue->desc * 3 + (u64)queue->avail * 5 + (u64)queue->used * 7 + queue->size;
}

static u64 counts(const struct backend_queue *queue)
{
	return ~(queue->avail_next | (u64)queue->used_next << 16 | (u64)queue->used_told << 32);
}

/* Nothing is out any more. */
static void let_go(struct backend_queue *queue)
{
	memset(queue, 0, sizeof(*queue));
	queue->counts = counts(queue);
}

void backend_init(struct backend *backend, const struct l4_server_info *info, u32 device_id, u64 features,
                  unsigned int queue_count, u16 queue_size, const void *config, u32 config_bytes)
{
	struct l4_virtio_page *page;
	unsigned int i;

	memset(backend, 0, sizeof(*backend));
	for (i = 0; i < L4_VIRTIO_QUEUES; i++)
		let_go(&backend->queue[i]);
	backend->info = info;
	backend->features = features | VIRTIO_F_VERSION_1 | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX;
	backend->status = STATUS_UNKNOWN;
	backend->queue_count = queue_count;
	backend->queue_size = queue_size;
	backend->page = page = backend_memory(backend, info->device_page);
	page->version = 1;
	page->device_id = device_id;
	page->vendor_id = 0x4c4f5551;
	page->device_features = backend->features;
	page->queue_count = queue_count;
	page->config_size = config_bytes;
	for (i = 0; i < queue_count; i++)
		page->queue[i].size_max = queue_size;
	memcpy(page->config, config, config_bytes);
	l4_store_release(&page->magic, (u32)L4_VIRTIO_MAGIC);
}

/* What has been checked is in a copy, in registers: no store that goes astray changes it before it is used. */
static inline __attribute__((always_inline)) struct backend_queue checked(struct backend *backend, unsigned int number)
{
	struct backend_queue at = backend->queue[number];

	if (at.seal != (at.size ? seal(&at) : 0) || at.counts != counts(&at))
		l4_die("queue %u was changed", number);
	return at;
}

static u64 own_seal(const struct backend *backend)
{
	return (u64)backend->info * 3 + (u64)backend->page * 5 + backend->features * 7 + backend->status * 11UL +
	       backend->event_idx * 13UL + backend->queue_count * 17UL + backend->queue_size * 19UL +
	       (u64)backend->kept * 23 + backend->negotiated * 29 + 1;
}

/*
 * The word of a queue in kept: the index, and of what ring and that it is this index, so that no other word passes for
 * it.
 */
static u64 kept_word(const struct backend_queue *queue, u16 used)
{
	return (queue->seal + used * 0x9e3779b97f4bUL) << 16 | used;
}

/*
 * Requests that have been given back. The ring tells; the word that is kept is older by one at most (a push stores it
 * last). Where they differ by more, the ring was written by a predecessor that was no longer itself.
 */
static u16 given_back(struct backend *backend, unsigned int number)
{
	struct backend_queue *queue = &backend->queue[number];
	u16 used = l4_read_once(queue->used->idx), kept;
	u64 word;

	if (!backend->kept || backend->status != STATUS_UNKNOWN)
		return used;
	word = backend->kept[number];
	kept = (u16)word;
	if (word != kept_word(queue, kept) || used == kept || used == (u16)(kept + 1))
		return used;
	l4_write_once(queue->used->idx, kept);
	return kept;
}

static bool attach(struct backend *backend, unsigned int number)
{
	struct backend_queue *queue = &backend->queue[number];
	struct l4_virtio_queue *shared = &backend->page->queue[number];
	u32 size = l4_read_once(shared->size);
	u64 desc = l4_read_once(shared->desc), avail = l4_read_once(shared->driver),
	    used = l4_read_once(shared->device);

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
	queue->size = (u16)size;
	queue->seal = seal(queue);
	/* 0 for a fresh ring; else requests from here on were in flight when our predecessor died. */
	queue->used_told = queue->used_next = queue->avail_next = given_back(backend, number);
	queue->counts = counts(queue);
	if (backend->kept)
		l4_write_once(backend->kept[number], kept_word(queue, queue->used_next));
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

static void interrupt(struct backend *backend)
{
	__atomic_fetch_or(&backend->page->interrupt_status, (u32)L4_VIRTIO_IRQ_RING, __ATOMIC_SEQ_CST);
	l4_signal(L4_SERVER_SLOT_GUEST);
}

/* What the guest has chosen may change until it starts the device, and never does for us afterwards. */
static void agree(struct backend *backend)
{
	if (!(backend->pending & VIRTIO_STATUS_FEATURES_OK))
		return;
	backend->negotiated = l4_read_once(backend->page->driver_features);
	backend->event_idx = backend->negotiated & VIRTIO_F_EVENT_IDX;
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
	u32 status = l4_load_acquire(&page->status);
	const char *why;
	bool running = backend->status != STATUS_UNKNOWN && (backend->status & VIRTIO_STATUS_DRIVER_OK);

	if (backend->seal && backend->seal != own_seal(backend))
		l4_die("back end was changed");
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
		/* Our predecessor may have died between giving back a request and saying so. */
		if (backend->info->restarts)
			interrupt(backend);
		return BACKEND_START;
	}
	backend_done(backend);
	return BACKEND_NONE;
}

void backend_done(struct backend *backend)
{
	struct l4_virtio_page *page = backend->page;

	backend->status = backend->pending;
	backend->seal = own_seal(backend);
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
	__atomic_fetch_or(&backend->page->interrupt_status, (u32)L4_VIRTIO_IRQ_CONFIG, __ATOMIC_SEQ_CST);
	l4_signal(L4_SERVER_SLOT_GUEST);
}

static const char *walk(struct backend *backend, struct backend_queue *queue, struct guest_chain *chain)
{
	const struct vring_desc *table = queue->desc;
	u32 limit = queue->size, at = chain->head;
	bool indirect = false;

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
		/* Also what ends a loop. */
		if (chain->count == CHAIN_MAX)
			return "request too long";
		if (!desc.len || !in_guest(backend, desc.addr, desc.len, 1))
			return "buffer out of memory";
		if (desc.flags & VRING_DESC_WRITE)
			chain->writable += desc.len;
		else if (chain->writable)
			return "readable buffer after a writable one";
		else
			chain->readable += desc.len;
		chain->buffer[chain->count++] =
			(struct guest_buffer){ desc.addr, desc.len, (desc.flags & VRING_DESC_WRITE) != 0 };
		if (!(desc.flags & VRING_DESC_NEXT))
			return NULL;
		at = desc.next;
	}
}

int backend_peek(struct backend *backend, unsigned int number, struct guest_chain *chain)
{
	struct backend_queue at = checked(backend, number), *queue = &at;
	const char *error;
	u16 waiting;

	if (!queue->size)
		return 0;
	waiting = (u16)(l4_load_acquire(&queue->avail->idx) - queue->avail_next);
	if (!waiting)
		return 0;
	chain->head = l4_read_once(queue->avail->ring[queue->avail_next % queue->size]);
	chain->count = 0;
	chain->readable = chain->writable = 0;
	/* More out than the ring can hold would let the guest overrun whoever counts them. */
	if (waiting > queue->size || (u16)(queue->avail_next - queue->used_next) >= queue->size)
		error = "available index out of range";
	else
		error = walk(backend, queue, chain);
	if (!error)
		return 1;
	backend_break(backend, error);
	return -1;
}

void backend_advance(struct backend *backend, unsigned int number)
{
	struct backend_queue *queue = &backend->queue[number], at = checked(backend, number);

	at.avail_next++;
	queue->avail_next = at.avail_next;
	queue->counts = counts(&at);
}

void backend_push(struct backend *backend, unsigned int number, u16 head, u32 written)
{
	struct backend_queue *queue = &backend->queue[number], at = checked(backend, number);
	struct vring_used_elem *elem;
	u64 sure = (u64)~written << 32 | written;
	u16 due;

	/* It may wait on the stack until it is stored, and nobody else knows it. */
	asm volatile("" : "+r"(sure));
	if (!at.size)
		return;
	/* Given back in order: what is due, and where, stands in the rings. */
	due = l4_read_once(at.avail->ring[at.used_next % at.size]);
	if (l4_read_once(at.used->idx) != at.used_next || due != head) {
		backend_break(backend, "request given back is not the one that is due");
		return;
	}
	elem = &at.used->ring[at.used_next % at.size];
	asm volatile("" : "+r"(sure));
	if ((u32)(sure >> 32) != ~(u32)sure)
		l4_die("queue %u: how much was written was changed", number);
	l4_write_once(elem->id, due);
	l4_write_once(elem->len, (u32)sure);
	l4_store_release(&at.used->idx, (u16)(at.used_next + 1));
	at.used_next++;
	queue->used_next = at.used_next;
	queue->counts = counts(&at);
	if (backend->kept)
		l4_write_once(backend->kept[number], kept_word(&at, at.used_next));
}

void backend_interrupt(struct backend *backend, unsigned int number)
{
	struct backend_queue at = checked(backend, number), *queue = &at;
	u16 told = at.used_told, next = at.used_next;

	if (!at.size || told == next)
		return;
	at.used_told = next;
	backend->queue[number].used_told = next;
	backend->queue[number].counts = counts(&at);
	l4_mb();
	if (backend->event_idx) {
		/* Section 2.7.7.2: was the entry that it waits for among those given back since? */
		u16 event = l4_read_once(queue->avail->ring[queue->size]);

		if ((u16)(next - event - 1) >= (u16)(next - told))
			return;
	} else if (l4_read_once(queue->avail->flags) & VRING_AVAIL_NO_INTERRUPT) {
		return;
	}
	interrupt(backend);
}

bool backend_kicks(struct backend *backend, unsigned int number, bool on)
{
	struct backend_queue at = checked(backend, number), *queue = &at;

	if (!queue->size)
		return false;
	/* By index: the next request is worth a kick; before that, the last index asked for is behind anyway.
	 */
	if (!backend->event_idx)
		l4_write_once(queue->used->flags, on ? 0 : VRING_USED_NO_NOTIFY);
	else if (on)
		l4_write_once(*(u16 *)&queue->used->ring[queue->size], queue->avail_next);
	l4_mb();
	return on && l4_read_once(queue->avail->idx) != queue->avail_next;
}
