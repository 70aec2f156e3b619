/* SPDX-License-Identifier: BSD-2-Clause */
/* Serve a guest's virtio device: its requests to the driver, completions back to the guest. */
#include <base/lib.h>
#include <base/resource.h>
#include <base/server.h>
#include <l4/invoke.h>

#include "state.h"

/* Looks at the guest's rings between two at this program's messages. */
#define LOOKS 16

_Static_assert(DRIVER_QUEUES <= L4_VIRTIO_QUEUES, "a queue of the guest for each of the device");

struct backend backend;
struct flight flight[DRIVER_QUEUES];
bool running;

static struct guest_chain chain;
static struct dma_buffer buffers[CHAIN_MAX]; /* of chain */
static u16 buffers_max;                      /* that the driver takes in one request */
static bool resumable;                       /* a former life may have left the device at work */

static void stop(void)
{
	running = resumable = false;
	driver_stop();
	memset(flight, 0, sizeof(flight));
	watch_reset();
}

/* The oldest request that is not yet submitted, in chain and in buffers; returns as backend_peek(). */
static int peek(u16 number)
{
	int found = backend_peek(&backend, number, &chain);

	if (found > 0)
		dma_translate(buffers, chain.buffer, chain.count);
	return found;
}

static bool has_size(u16 number)
{
	return chain.readable >= front.least[number].readable && chain.writable >= front.least[number].writable &&
	       chain.count <= buffers_max;
}

/* The last byte that the device will write, marked; NULL if that tells nothing. */
static volatile u8 *mark_status(void)
{
	const struct guest_buffer *last = &chain.buffer[chain.count - 1];
	volatile u8 *status;

	if (!front.status || !last->write || !last->bytes)
		return NULL;
	status = (volatile u8 *)backend_memory(&backend, last->gpa) + last->bytes - 1;
	*status = FRONT_UNDONE;
	return status;
}

/* Note the request that is in chain and advance over it. */
static void note(u16 number, volatile u8 *status)
{
	struct flight *out = &flight[number];
	u16 token = out->next++ % DRIVER_TOKENS;

	out->request[token].head = chain.head;
	out->request[token].status = status;
	out->request[token].room = chain.writable;
	out->request[token].done = false;
	backend_advance(&backend, number);
}

/* Go on with the device as the last life left it. False: the driver cannot. */
static bool resume(void)
{
	int count;
	u16 i;

	for (i = 0; i < backend.queue_count; i++) {
		count = driver_resume(i, flight[i].first % DRIVER_TOKENS);
		if (count < 0)
			return false;
		for (; count; count--) {
			if (peek(i) <= 0) {
				/* The next life starts the device anew and serves what the ring names then. */
				driver_stop();
				l4_die("queue %u: guest names less than the device was given", i);
			}
			note(i, NULL);
		}
	}
	return true;
}

/* Number requests as the guest's ring does: so a next life knows them again. */
static void number_requests(void)
{
	u16 i;

	for (i = 0; i < backend.queue_count; i++)
		flight[i].first = flight[i].next = backend_given_back(&backend, i);
}

static void start(void)
{
	number_requests();
	if (!resumable || !resume()) {
		stop();
		number_requests();
		driver_start(backend.negotiated & front.features);
	}
	running = true;
	resumable = false;
}

/* Hand the guest's requests to the driver. Returns whether one must wait for room there. */
static bool submit(u16 number)
{
	struct flight *out = &flight[number];
	bool added = false, full = false;
	int found;

	while ((found = peek(number)) > 0) {
		if (!has_size(number)) {
			backend_break(&backend, "request of impossible size");
			found = -1;
			break;
		}
		full = (front.out_max && (u16)(out->next - out->first) >= front.out_max) ||
		       !driver_submit(number, &chain, buffers, out->next % DRIVER_TOKENS);
		if (full)
			break;
		if (peek(number) <= 0 || !driver_holds(number, buffers, chain.count)) {
			backend_break(&backend, "request does not keep still");
			found = -1;
			break;
		}
		note(number, mark_status());
		added = true;
	}
	if (found < 0)
		stop();
	else if (added)
		driver_kick(number);
	return full;
}

/* Give finished requests back to the guest, in its order; together those that the device finished together. */
static void complete(u16 number)
{
	struct flight *out = &flight[number];
	bool pushed = false;
	u32 written;
	u16 token;

	while (driver_complete(number, &token, &written)) {
		if (out->request[token].status && *out->request[token].status == FRONT_UNDONE)
			l4_die("told of a request that is not done");
		if (written > out->request[token].room) {
			/* A ring that outlives this program has the same length for its successor. */
			driver_stop();
			l4_die("device wrote %u bytes, more than the %lu of the request", written,
			       out->request[token].room);
		}
		out->request[token].done = true;
		out->request[token].written = written;
	}
	for (; out->first != out->next && out->request[out->first % DRIVER_TOKENS].done; out->first++) {
		token = out->first % DRIVER_TOKENS;
		backend_push(&backend, number, out->request[token].head, out->request[token].written);
		pushed = true;
	}
	if (!pushed)
		return;
	backend_publish(&backend, number);
	backend_interrupt(&backend, number);
}

/* Nothing to be done in a queue, whose kicks are asked for as they were left. */
static bool is_idle(u16 number)
{
	return flight[number].first == flight[number].next && !backend_waiting(&backend, number);
}

/* The device has work of this queue, so its interrupt will tell when that is done. */
static bool completes(u16 number) { return is_work(number) && flight[number].first != flight[number].next; }

/*
 * Serve a queue. Returns whether the guest has posted more meanwhile, of which neither a kick nor a completion will
 * tell. last: this is the last look, so what waits behind work at the device goes on when that completes.
 */
static bool serve_queue(u16 number, bool last)
{
	bool full;

	backend_kicks(&backend, number, false);
	complete(number);
	/* With requests that do not fit the next completion, not the next kick, goes on. */
	full = submit(number);
	return running && backend_kicks(&backend, number, true) && !full && !(last && completes(number));
}

/* A guest on another CPU may post ever more. Returns whether there is more to serve after the last look. */
static bool serve(void)
{
	enum backend_action action = backend_poll(&backend);
	bool again = true, each = action != BACKEND_NONE || backend.queue_count == 1;
	unsigned int look;
	u16 i;

	if (action == BACKEND_STOP)
		stop();
	if (action == BACKEND_START)
		start();
	if (action != BACKEND_NONE)
		backend_done(&backend);
	for (look = 1; again && look <= LOOKS; look++) {
		again = false;
		for (i = 0; i < backend.queue_count && running; i++)
			if (each || !is_idle(i))
				again |= serve_queue(i, look == LOOKS);
	}
	return again;
}

/*
 * The device declares itself broken by a request that it cannot decode, or by a stray store of ours. So this life ends,
 * and the next starts the device anew. If it gives up again before that life answers a ping, the guest's requests are
 * why, and the guest is told to reset its device. The first life has none before it, so it always ends.
 */
static void check_device(void)
{
	if (!running || driver_runs())
		return;
	backend.settled |= !info->restarts;
	backend_break(&backend, "real device gave up on its requests");
	stop();
}

/* Requests that have gone back so far, of all queues. */
static u16 given_back(void)
{
	u16 i, sum = 0;

	for (i = 0; i < backend.queue_count; i++)
		sum = (u16)(sum + flight[i].first);
	return sum;
}

void front_serve(u64 offered, u16 queues, u16 longest, const void *config)
{
	const struct l4_resource *dma = resource_first(info, L4_RESOURCE_DMA_MEMORY);
	unsigned long bits = 0;
	u16 before;
	bool more;

	buffers_max = longest;
	resumable = info->restarts;
	backend_init(&backend, info,
	             &(struct backend_device){
			     .device_id = front.device_id,
			     .features = offered & front.features,
			     .queue_count = queues,
			     .queue_size = front.queue_size,
			     .config = config,
			     .config_bytes = front.config_bytes,
			     .kept = (u64 *)(L4_SERVER_DMA_VADDR + dma->size - DRIVER_DMA_RESERVED),
		     });
	l4_server_ready();
	for (;;) {
		bool interrupt = bits & L4_SERVER_EVENT_IRQ;

		/* Before any look at the device, so that what comes later finds the interrupt open. */
		if (!bits || interrupt) {
			driver_interrupt();
			l4_irq_handler_ack(resource_first(info, L4_RESOURCE_INTERRUPT)->slot);
		}
		before = given_back();
		more = serve();
		watch_event(interrupt, given_back() != before);
		if (bits & L4_SERVER_EVENT_PING) {
			check_device();
			watch_ping();
			l4_server_pong(0);
		}
		if (more)
			l4_poll(L4_SERVER_SLOT_EVENT, &bits);
		else
			l4_wait(L4_SERVER_SLOT_EVENT, &bits);
	}
}
