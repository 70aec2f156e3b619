/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The serial line of the machine, shared by the kernel's log and the guest's virtio console.
 *
 * Output: the bytes 0x01 'L' and 0x01 'G' switch the line to the log or to the guest; it starts with the log.
 * The log goes first, and no switch cuts one of its lines. A byte 0x01 of theirs goes out twice. Input is the
 * guest's. Nothing is dropped: what the line does not take stays where it is, and what the guest does not
 * take waits here, then in the UART.
 *
 * What has gone out and what was typed is kept in the DMA page, which outlives this task: a restart neither
 * loses nor repeats.
 */
#include <l4/backend.h>
#include <l4/invoke.h>
#include <l4/lib.h>
#include <l4/server.h>

#include "uart.h"

#define CONSOLE_ID   3 /* virtio 1.2, section 5.3 */
#define CONFIG_BYTES 12
#define QUEUE_SIZE   64
#define RECEIVE	     0
#define TRANSMIT     1

#define MARK	    0x01
#define INPUT_SIZE  2048 /* a power of two; what the guest does not take stays in the UART */
#define STATE_MAGIC 0x31474f4c4f534e43UL

#define NO_REQUEST 0xffffffffU

struct state {
	u64 magic;
	u64 log_position;
	u32 request; /* place in the ring of the guest's request that is being written */
	u32 sent;    /* bytes of it */
	u8 channel;
	u8 log_line_open;
	/* Bytes that are decided on but not yet in the UART: a newline, a mark, a doubled byte. */
	u8 out[8];
	u32 out_first, out_count;
	/* Typed, not yet given to the guest. */
	u32 input_first, input_count;
	u8 input[INPUT_SIZE];
};
_Static_assert(sizeof(struct state) <= L4_PAGE_SIZE, "the DMA page holds it");

static const struct uart *const uarts[] = {[L4_UART_NS16550] = &ns16550, [L4_UART_PL011] = &pl011};
static const struct uart *uart;
static struct l4_backend backend;
static struct state *const state = (void *)L4_SERVER_DMA_VADDR;
static const struct l4_log_header *const log_header = (const void *)L4_SERVER_LOG_VADDR;
static const char *const log_text = (const char *)(L4_SERVER_LOG_VADDR + L4_LOG_TEXT_OFFSET);

/* The guest's request that is being written. */
static struct l4_chain sending;
static bool sending_active;
static u16 sending_buffer;
static u32 sending_offset;

static struct l4_chain receiving;

static void add_out(u8 byte)
{
	state->out[state->out_count++] = byte;
}

static void emit(char channel, u8 byte)
{
	if (state->channel != channel) {
		if (state->log_line_open)
			add_out('\n');
		state->log_line_open = 0;
		add_out(MARK);
		add_out((u8)channel);
		state->channel = (u8)channel;
	}
	if (byte == MARK)
		add_out(MARK);
	add_out(byte);
	if (channel == 'L')
		state->log_line_open = byte != '\n';
}

static bool next_of_log(void)
{
	u64 head = l4_load_acquire(&log_header->head);

	if (state->log_position == head)
		return false;
	if (head - state->log_position > L4_LOG_TEXT_SIZE)
		state->log_position = head - L4_LOG_TEXT_SIZE;
	emit('L', (u8)l4_read_once(log_text[state->log_position % L4_LOG_TEXT_SIZE]));
	state->log_position++;
	return true;
}

static void skip_to_buffer(void)
{
	while (sending_buffer < sending.count && sending_offset >= sending.buffer[sending_buffer].bytes)
		sending_offset -= sending.buffer[sending_buffer++].bytes;
}

static bool next_of_guest(void)
{
	const struct l4_buffer *buffer;
	u16 place = backend.queue[TRANSMIT].avail_next;

	if (!sending_active) {
		if (l4_backend_peek(&backend, TRANSMIT, &sending) <= 0)
			return false;
		l4_backend_advance(&backend, TRANSMIT);
		if (state->request != place)
			state->sent = 0;
		state->request = place;
		sending_active = true;
		sending_buffer = 0;
		sending_offset = state->sent;
		skip_to_buffer();
	}
	buffer = &sending.buffer[sending_buffer];
	if (sending_buffer < sending.count && !buffer->write) {
		emit('G', *(volatile u8 *)l4_backend_memory(&backend, buffer->addr + sending_offset));
		state->sent++;
		sending_offset++;
		skip_to_buffer();
		buffer = &sending.buffer[sending_buffer];
	}
	if (sending_buffer == sending.count || buffer->write) {
		sending_active = false;
		l4_backend_push(&backend, TRANSMIT, sending.head, 0);
		l4_backend_interrupt(&backend, TRANSMIT);
	}
	return true;
}

/* What does not fit here stays in the UART, and its interrupt off: a line would ask for ever. */
static void want_interrupts(bool room)
{
	uart->want(state->input_count < INPUT_SIZE, room);
}

/* True: all is out. False: the line is full, an interrupt will tell. */
static bool transmit(void)
{
	bool asked = false;

	for (;;) {
		if (state->out_first == state->out_count) {
			state->out_first = state->out_count = 0;
			if (!next_of_log() && !next_of_guest())
				return true;
		} else if (uart->put(state->out[state->out_first])) {
			state->out_first++;
			asked = false;
		} else if (asked) {
			return false;
		} else {
			want_interrupts(true);
			asked = true; /* room may have come before we asked */
		}
	}
}

static void receive(void)
{
	u32 written;
	u16 i;
	int byte;

	while (state->input_count < INPUT_SIZE && (byte = uart->get()) >= 0) {
		state->input[(state->input_first + state->input_count) % INPUT_SIZE] = (u8)byte;
		state->input_count++;
	}
	while (state->input_count && l4_backend_peek(&backend, RECEIVE, &receiving) > 0) {
		l4_backend_advance(&backend, RECEIVE);
		for (i = 0, written = 0; i < receiving.count; i++) {
			struct l4_buffer *buffer = &receiving.buffer[i];
			volatile u8 *to = l4_backend_memory(&backend, buffer->addr);

			for (; buffer->write && buffer->bytes && written < state->input_count;
			     buffer->bytes--, written++)
				*to++ = state->input[(state->input_first + written) % INPUT_SIZE];
		}
		l4_backend_push(&backend, RECEIVE, receiving.head, written);
		/* Only now: had we died before, our successor would give the same bytes. */
		state->input_first = (state->input_first + written) % INPUT_SIZE;
		state->input_count -= written;
		l4_backend_interrupt(&backend, RECEIVE);
	}
}

int l4_main(void *arg)
{
	const struct l4_server_info *info = arg;
	static const u8 config[CONFIG_BYTES];
	unsigned long bits = L4_SERVER_EVENT_IRQ, position;
	bool done, again, first = true;

	if (info->uart >= sizeof(uarts) / sizeof(uarts[0]))
		l4_die("no driver for serial line %lu", info->uart);
	uart = uarts[info->uart];
	uart->init(info);
	l4_backend_init(&backend, info, CONSOLE_ID, 0, 2, QUEUE_SIZE, config, CONFIG_BYTES);
	position = l4_server_ready();
	if (state->magic != STATE_MAGIC) {
		state->input_first = state->input_count = 0;
		state->log_position = position;
		state->channel = 'L';
		state->request = NO_REQUEST;
		state->magic = STATE_MAGIC;
	}
	for (;;) {
		enum l4_backend_action action;

		if (bits & L4_SERVER_EVENT_IRQ)
			uart->interrupt();
		action = l4_backend_poll(&backend);
		if (action != L4_BACKEND_NONE) {
			sending_active = false;
			/* The same ring as our predecessor's, or another one. */
			if (!first || action != L4_BACKEND_START)
				state->request = NO_REQUEST;
			l4_backend_done(&backend);
		}
		first = false;
		do {
			receive();
			done = transmit();
			again = l4_backend_kicks(&backend, RECEIVE, true) && state->input_count;
			again |= l4_backend_kicks(&backend, TRANSMIT, true) && done;
		} while (again);
		/* Whatever made the line ask is done with, or its interrupt is off; an edge that came meanwhile is
		 * kept by L4. */
		want_interrupts(!done);
		if (bits & L4_SERVER_EVENT_IRQ)
			l4_irq_handler_ack(L4_SERVER_SLOT_IRQ);
		if (bits & L4_SERVER_EVENT_PING)
			l4_server_pong(!done);
		l4_wait(L4_SERVER_SLOT_EVENT, &bits);
	}
}
