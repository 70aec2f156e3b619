/* SPDX-License-Identifier: BSD-2-Clause */
/* A guest's virtio device on a virtio PCI device of the machine. */
#include <virtio/backend.h>
#include "front.h"
#include <l4/invoke.h>
#include <base/lib.h>
#include <base/server.h>
#include <virtio/virtio_pci.h>

/* Requests of one queue that are out, in the guest's order; tokens are positions in the ring. */
struct flight {
	u16 first, next;
	struct {
		u16 head;
		bool done;
		u32 written;
		volatile u8 *status; /* NULL: it has none */
	} request[VIRTQUEUE_MAX];
};

static const struct front_class *class;
/* On a page that we cannot write, whatever becomes of us. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;
static struct backend backend;
static struct virtio_pci pci;
static struct virtqueue ring[FRONT_QUEUES];
static struct flight flight[FRONT_QUEUES];
static struct guest_chain chain;
static struct dma_buffer buffers[CHAIN_MAX]; /* of chain */
static u64 indirect;                         /* the device's feature */
static bool running, interrupted;

/* What the last sign of life found, and what came since. */
static struct {
	u16 first[FRONT_QUEUES];
	unsigned int stuck[FRONT_QUEUES], unheard;
	unsigned int idle; /* interrupts since a request was done */
} seen;

_Static_assert(CHAIN_MAX <= VIRTQUEUE_LONGEST, "a table holds any request of the guest");

/* The end of the DMA memory: what our successor is told. */
#define KEPT_BYTES (sizeof(u64) * FRONT_QUEUES)

#define PATIENCE        2    /* signs of life with progress that no interrupt told of */
#define IDLE_PATIENCE   1000 /* interrupts without a request done: a line that stays raised leaves nobody time */
#define DEVICE_PATIENCE 30   /* pings for which a device may keep a request: a busy disk takes long, as Linux knows */
#define WATCHED_PARTS   10   /* of a second for which it is watched before such a ping counts */

static void stop(void)
{
	running = false;
	virtio_pci_reset(&pci);
	memset(flight, 0, sizeof(flight));
	memset(&seen, 0, sizeof(seen));
}

static void start(void)
{
	u64 share = info->dma_size / class->queue_count, used;
	u16 i, size;

	stop();
	if (!virtio_pci_negotiate(&pci, (backend.negotiated & class->features) | indirect | VIRTIO_F_VERSION_1))
		l4_die("device refuses its own features");
	for (i = 0; i < class->queue_count; i++) {
		size = virtio_pci_queue_size(&pci, i);
		if (!size || virtqueue_bytes(size) > share - KEPT_BYTES)
			l4_die("device has no queue %u", i);
		virtio_pci_queue(&pci, &ring[i], i, size, (void *)(L4_SERVER_DMA_VADDR + i * share),
		                 info->dma_paddr + i * share);
		used = (virtqueue_bytes(size) + L4_PAGE_SIZE - 1) & ~(L4_PAGE_SIZE - 1UL);
		if (indirect && used + KEPT_BYTES <= share)
			virtqueue_tables(&ring[i], (void *)(L4_SERVER_DMA_VADDR + i * share + used),
			                 info->dma_paddr + i * share + used, share - KEPT_BYTES - used);
	}
	virtio_pci_start(&pci);
	running = true;
}

/* The oldest request that is not yet submitted, in chain and in buffers; returns as backend_peek(). */
static int peek(u16 number)
{
	int found = backend_peek(&backend, number, &chain);

	if (found > 0)
		dma_translate(buffers, chain.buffer, chain.count);
	return found;
}

/* The last byte that the device will write, marked; NULL if that tells nothing. */
static volatile u8 *mark_status(void)
{
	const struct guest_buffer *last = &chain.buffer[chain.count - 1];
	volatile u8 *status;

	if (!class->status || !last->write || !last->bytes)
		return NULL;
	status = (volatile u8 *)backend_memory(&backend, last->gpa) + last->bytes - 1;
	*status = FRONT_UNDONE;
	return status;
}

/* Guest's requests to the device. Returns whether one must wait for room there. */
static bool submit(u16 number)
{
	struct flight *out = &flight[number];
	bool added = false, full = false;
	int found;
	u16 token;

	while ((found = peek(number)) > 0) {
		if (chain.readable < class->least[number].readable || chain.writable < class->least[number].writable ||
		    chain.count > virtqueue_longest(&ring[number])) {
			backend_break(&backend, "request of impossible size");
			found = -1;
			break;
		}
		full = !virtqueue_fits(&ring[number], chain.count);
		if (full)
			break;
		token = out->next++ % VIRTQUEUE_MAX;
		virtqueue_add(&ring[number], buffers, chain.count, token);
		/* A store of ours that goes astray must not make the device reach other memory of the guest than it was told. */
		if (peek(number) <= 0 || !virtqueue_holds(&ring[number], buffers, chain.count)) {
			backend_break(&backend, "request does not keep still");
			found = -1;
			break;
		}
		out->request[token].head = chain.head;
		out->request[token].status = mark_status();
		out->request[token].done = false;
		backend_advance(&backend, number);
		added = true;
	}
	if (found < 0)
		stop();
	else if (added)
		virtqueue_kick(&ring[number]);
	return full;
}

/* What the device has done back to the guest. */
static void complete(u16 number)
{
	struct flight *out = &flight[number];
	bool pushed = false;
	u32 written;
	u16 token;

	while (virtqueue_get(&ring[number], &token, &written)) {
		if (out->request[token].status && *out->request[token].status == FRONT_UNDONE)
			l4_die("told of a request that is not done");
		out->request[token].done = true;
		out->request[token].written = written;
	}
	for (; out->first != out->next && out->request[out->first % VIRTQUEUE_MAX].done; out->first++) {
		token = out->first % VIRTQUEUE_MAX;
		backend_push(&backend, number, out->request[token].head, out->request[token].written);
		pushed = true;
	}
	if (pushed)
		backend_interrupt(&backend, number);
}

static void serve(void)
{
	enum backend_action action = backend_poll(&backend);
	bool full, again = true;
	u16 i;

	if (action == BACKEND_STOP)
		stop();
	if (action == BACKEND_START)
		start();
	if (action != BACKEND_NONE)
		backend_done(&backend);
	while (again) {
		again = false;
		for (i = 0; i < class->queue_count && running; i++) {
			backend_kicks(&backend, i, false);
			complete(i);
			/* With requests that do not fit the next completion, not the next kick, goes on. */
			full = submit(i);
			again |= running && backend_kicks(&backend, i, true) && !full;
		}
	}
}

/* Of a queue that the guest fills with what is to be done; one that it fills with room waits for the world. */
static bool is_work(u16 number) { return class->least[number].readable; }

/* Requests that the device has; one that it was done with before an earlier one is not, and not back yet either. */
static u16 in_device(const struct flight *out)
{
	u16 i, count = 0;

	for (i = out->first; i != out->next; i++)
		count += !out->request[i % VIRTQUEUE_MAX].done;
	return count;
}

/*
 * Watch a device that has not got on since the last ping: an emulator's clock may leap over the time in which the whole
 * machine waits for a disk of the host, and then pings tell nothing. It does not leap while we run.
 */
static bool done_while_watched(u16 number)
{
	u64 start = l4_counter();

	while (!virtqueue_done(&ring[number]))
		if (l4_counter() - start >= info->counter_hz / WATCHED_PARTS)
			return false;
	return true;
}

/*
 * Before we say that we are well: are we? What a wild store has done, to us, to the rings or to the device, shows as a
 * state that contradicts itself, a device that gave up, or work that does not get on. Our end is the cure.
 */
static void examine(bool progress)
{
	u16 i;

	backend.settled = true;
	if (!running) {
		if ((backend.status & VIRTIO_STATUS_DRIVER_OK) && !l4_read_once(backend.page->needs_reset))
			l4_die("stopped, and the guest goes on");
		return;
	}
	if (!virtio_pci_runs(&pci))
		l4_die("device needs a reset");
	for (i = 0; i < class->queue_count; i++) {
		if (!virtqueue_sound(&ring[i], in_device(&flight[i])) ||
		    (u16)(backend.queue[i].avail_next - backend.queue[i].used_next) !=
		            (u16)(flight[i].next - flight[i].first))
			l4_die("queue %u contradicts itself", i);
		if (!is_work(i) || flight[i].first == flight[i].next || flight[i].first != seen.first[i])
			seen.stuck[i] = 0;
		else if (!done_while_watched(i) && ++seen.stuck[i] > DEVICE_PATIENCE)
			l4_die("queue %u does not get on", i);
		seen.first[i] = flight[i].first;
		virtqueue_ring(&ring[i]);
	}
	seen.unheard = progress && !interrupted ? seen.unheard + 1 : 0;
	if (seen.unheard > PATIENCE)
		l4_die("device does not interrupt");
	interrupted = false;
}

/* Requests that have gone back so far. */
static u16 gone(void)
{
	u16 i, sum = 0;

	for (i = 0; i < class->queue_count; i++)
		sum = (u16)(sum + flight[i].first);
	return sum;
}

void front_serve(const struct front_class *device_class)
{
	u8 config[L4_VIRTIO_CONFIG_SIZE] __attribute__((aligned(8))) = { 0 };
	unsigned long bits = 0;
	u64 features;
	u16 i, buffers = CHAIN_MAX, size, before;

	class = device_class;
	virtio_pci_init(&pci, info);
	virtio_pci_reset(&pci);
	features = virtio_pci_features(&pci);
	if (!(features & VIRTIO_F_VERSION_1))
		l4_die("device is not a modern virtio device");
	indirect = features & VIRTIO_F_INDIRECT_DESC;
	virtio_pci_config(&pci, config, class->config_bytes);
	for (i = 0; i < class->queue_count && !indirect; i++) {
		size = virtio_pci_queue_size(&pci, i);
		if (size < buffers)
			buffers = size;
	}
	if (class->limit)
		class->limit(config, buffers);
	backend_init(&backend, info, class->device_id, features & class->features, class->queue_count,
	             class->queue_size, config, class->config_bytes);
	backend.kept = (u64 *)(L4_SERVER_DMA_VADDR + info->dma_size - KEPT_BYTES);
	l4_server_ready();
	for (;;) {
		/* Before we look, so that what comes later finds the interrupt open. */
		if (!bits || (bits & L4_SERVER_EVENT_IRQ)) {
			virtio_pci_interrupt(&pci);
			l4_irq_handler_ack(L4_SERVER_SLOT_IRQ);
		}
		interrupted |= bits & L4_SERVER_EVENT_IRQ;
		before = gone();
		serve();
		if (gone() != before)
			seen.idle = 0;
		else if ((bits & L4_SERVER_EVENT_IRQ) && ++seen.idle > IDLE_PATIENCE)
			l4_die("device interrupts for nothing");
		if (bits & L4_SERVER_EVENT_PING) {
			examine(gone() != before);
			l4_server_pong(0);
		}
		l4_wait(L4_SERVER_SLOT_EVENT, &bits);
	}
}
