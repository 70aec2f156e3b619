/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Self-check of a front and its driver. A stray store, into this program, the rings or the device, shows as a state
 * that contradicts itself, a device that gave up, or work that does not get on. Then this program ends: root restarts
 * it, and its successor goes on from the guest's rings.
 */
#include <l4/arch.h>
#include <base/lib.h>

#include "state.h"

#define PATIENCE        2    /* times between two pings with progress and without an interrupt, none since */
#define IDLE_PATIENCE   1000 /* interrupts without a request done: a line that stays raised takes all of the time */
#define DEVICE_PATIENCE 30   /* pings for which a device may keep a request: a busy disk takes long */
#define WATCHED_PARTS   10   /* of a second for which all queues together are watched before such a ping counts */

/* What the last ping found, and what came since. */
static struct {
	u16 first[DRIVER_QUEUES];
	unsigned int stuck[DRIVER_QUEUES], unheard;
	unsigned int idle; /* interrupts since a request was done */
	bool progress;     /* a request was done */
} seen;
static bool interrupted;

void watch_reset(void) { memset(&seen, 0, sizeof(seen)); }

void watch_event(bool interrupt, bool progress)
{
	interrupted |= interrupt;
	seen.progress |= progress;
	if (progress)
		seen.idle = 0;
	else if (interrupt && ++seen.idle > IDLE_PATIENCE)
		l4_die("device interrupts for nothing");
}

/* Requests at the device. One that it finished before an earlier one is not there, and not back at the guest either. */
static u16 in_device(const struct flight *out)
{
	u16 i, count = 0;

	for (i = out->first; i != out->next; i++)
		count += !out->request[i % DRIVER_TOKENS].done;
	return count;
}

/*
 * Watch a device that has not got on since the last ping: an emulator's clock may leap over the time in which the whole
 * machine waits for a disk of the host, and then pings tell nothing. It does not leap while a program runs. All queues of
 * a ping have one watch, which begins at the first of them (*start, 0 before).
 */
static bool done_while_watched(u16 number, u64 *start)
{
	if (!*start)
		*start = l4_counter();
	while (!driver_done(number))
		if (l4_counter() - *start >= info->counter_hz / WATCHED_PARTS)
			return false;
	return true;
}

static void check_queue(u16 number, u64 *watched)
{
	const struct flight *out = &flight[number];

	if (!driver_check(number, in_device(out)) || backend_taken(&backend, number) != (u16)(out->next - out->first))
		l4_die("queue %u contradicts itself", number);
	if (!is_work(number) || out->first == out->next || out->first != seen.first[number])
		seen.stuck[number] = 0;
	else if (!done_while_watched(number, watched) && ++seen.stuck[number] > DEVICE_PATIENCE)
		l4_die("queue %u does not get on", number);
	seen.first[number] = out->first;
}

void watch_ping(void)
{
	u64 watched = 0;
	u16 i;

	backend.settled = true;
	if (!running) {
		if ((backend.status & VIRTIO_STATUS_DRIVER_OK) && !l4_read_once(backend.page->needs_reset))
			l4_die("stopped, and the guest goes on");
		return;
	}
	for (i = 0; i < backend.queue_count; i++)
		check_queue(i, &watched);
	/* Requests may be done without it: each kick of the guest has the rings looked at. */
	seen.unheard = interrupted ? 0 : seen.unheard + seen.progress;
	if (seen.unheard > PATIENCE)
		l4_die("device does not interrupt");
	interrupted = seen.progress = false;
}
