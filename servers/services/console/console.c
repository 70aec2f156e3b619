/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The serial line of the machine, shared by the kernel's log and the guest's virtio console: this file has the main loop
 * and the virtio device. Read record.h first.
 */
#include <abi_servers.h>
#include <base/lib.h>
#include <base/resource.h>
#include <base/server.h>
#include <l4/invoke.h>

#include "input.h"
#include "line.h"
#include "mux.h"
#include "record.h"
#include "request.h"

#define CONSOLE_ID   3 /* virtio 1.2, section 5.3 */
#define CONFIG_BYTES 12
#define RING_SIZE    64
#define BURST 4096 /* steps (requests, bytes and decisions on them) between two looks at this program's messages */

/* Make the step of an access to the UART that a predecessor made and did not live to note. */
static void settle_access(const struct l4_frame *last)
{
	struct l4_note note = state->note;
	u64 step = RECORD_FIELD(step);
	u8 byte;

	if (note.intent == note_of(step, NOTE_PUT) && l4_noted_made(&note, note.intent, last, &byte)) {
		state->note.done = note.intent;
		mux_byte_out();
	} else if (note.intent == note_of(step, NOTE_GET) && l4_noted_made(&note, note.intent, last, &byte)) {
		state->note.done = note.intent | byte;
		input_keep(byte);
	}
}

/* Take over from a predecessor. False: there is none. */
static bool inherit(void)
{
	if (!record_inherit())
		return false;
	settle_access(l4_predecessor());
	record_settle();
	return true;
}

/* Forget the requests of a ring that is gone. */
static void forget_requests(void)
{
	unsigned int i;

	record_begin();
	for (i = 0; i < 2; i++)
		record_work[i].request = record_work[i].given_place = NO_REQUEST;
	record_commit();
}

/* Self-check before a ping is answered. On an inconsistency die: the root pager starts a successor. */
static void examine(void)
{
	guest_console.settled = true;
	record_examine();
	/* The one request that was taken and has not gone back is the one that is being written. */
	if (backend_taken(&guest_console, TRANSMIT) > 1 || request_underway(RECEIVE))
		l4_die("queues contradict themselves");
}

/* Act on what the guest does with its device. first: nothing has been served yet in this life. */
static void poll_guest(bool first)
{
	enum backend_action action = backend_poll(&guest_console);

	if (action == BACKEND_NONE)
		return;
	/* The predecessor's ring if the guest has not reset it meanwhile; any later one is another. */
	if (first && action == BACKEND_START)
		input_settle();
	else
		forget_requests();
	backend_done(&guest_console);
}

/*
 * Move bytes both ways until nothing is left to do, the line is full, or, since a guest on another CPU may post ever
 * more, for a burst: then there is more to do at once. Returns whether all is out.
 */
static bool serve(bool *more)
{
	unsigned int left = BURST;
	bool done, again;

	do {
		input_receive(&left);
		done = mux_transmit(&left);
		again = backend_kicks(&guest_console, RECEIVE, true) && input_waits();
		again |= backend_kicks(&guest_console, TRANSMIT, true) && done;
	} while (again && left);
	*more = !left;
	return done;
}

int l4_main(void *arg)
{
	static const u8 config[CONFIG_BYTES];
	unsigned long bits = L4_SERVER_EVENT_IRQ, position;
	bool done, more, inherited, first = true;

	l4_server_check();
	if (!line_has_driver())
		l4_die("no driver for registers of type %u", uart_registers()->type);
	if (resource_first(info, L4_RESOURCE_DMA_MEMORY)->size < sizeof(*state))
		l4_die("not enough memory to keep");
	/* Before anything can fail: the registers that tell are those of the last task that died. */
	inherited = inherit();
	uart()->init();
	backend_init(&guest_console, info,
	             &(struct backend_device){ .device_id = CONSOLE_ID,
	                                       .queue_count = 2,
	                                       .queue_size = RING_SIZE,
	                                       .config = config,
	                                       .config_bytes = CONFIG_BYTES,
	                                       .kept = state->given_back });
	position = l4_server_ready();
	if (!inherited)
		record_start(position);
	for (;; first = false) {
		/* A ping also finds an interrupt that a predecessor lost. */
		if (bits & (L4_SERVER_EVENT_IRQ | L4_SERVER_EVENT_PING))
			uart()->interrupt();
		poll_guest(first);
		done = serve(&more);
		/* The cause of the interrupt is served or masked; an edge that came meanwhile is kept by L4. */
		input_want_interrupts(!done, bits & L4_SERVER_EVENT_PING);
		if (bits & (L4_SERVER_EVENT_IRQ | L4_SERVER_EVENT_PING))
			l4_irq_handler_ack(resource_first(info, L4_RESOURCE_INTERRUPT)->slot);
		if (bits & L4_SERVER_EVENT_PING) {
			examine();
			l4_server_pong(!done);
		}
		if (more)
			l4_poll(L4_SERVER_SLOT_EVENT, &bits);
		else
			l4_wait(L4_SERVER_SLOT_EVENT, &bits);
	}
}
