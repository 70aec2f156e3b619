/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The serial line of the machine, shared by the kernel's log and the guest's virtio console.
 *
 * Output: the bytes 0x01 'L' and 0x01 'G' switch the line to the log or to the guest; it starts with the log.
 * The log goes first, and no switch cuts one of its lines. A byte 0x01 of theirs goes out twice. Input is the
 * guest's. Nothing is dropped: what the line does not take stays where it is, and what the guest does not
 * take waits here, then in the UART.
 *
 * What has gone out and what was typed is kept in the DMA page, which outlives this task. Each step of the output
 * is prepared in a spare record and takes effect by one store, so wherever we die, our successor finds a whole one
 * and neither loses nor repeats. The UART does not tell what was done with it: l4/noted_access.h.
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
#define STATE_MAGIC 0x33474f4c4f534e43UL

#define NO_REQUEST 0xffffffffU

struct output {
	u64 log_position;
	u32 request; /* place in the ring of the guest's request that is being written */
	u32 sent;    /* bytes of it */
	u8 channel;
	u8 log_line_open;
	/* Bytes that are decided on but not yet in the UART: a newline, a mark, a doubled byte. */
	u8 out_first, out_count;
	u8 out[8];
};

struct state {
	u64 magic;
	u32 current; /* which of the records is true */
	u32 putting; /* and which will be, once a byte is out */
	struct output record[2];
	/* Typed, not yet given to the guest: [taken, typed), both counted for ever. */
	u32 typed, taken;
	u32 getting; /* typed as it will be, once a byte is in */
	/* The last that was given: once the request at given_place has gone back, taken is given_until. */
	u32 given_place, given_until;
	u64 given_back[2]; /* struct l4_backend's kept */
	u8 input[INPUT_SIZE];
};
_Static_assert(sizeof(struct state) <= L4_PAGE_SIZE, "the DMA page holds it");

static const struct uart *const uarts[] = {[L4_UART_NS16550] = &ns16550, [L4_UART_PL011] = &pl011};
/* What does not change comes from a page that we cannot write, whatever becomes of us. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;
static struct l4_backend backend;
static struct state *const state = (void *)L4_SERVER_DMA_VADDR;
static const struct l4_log_header *const log_header = (const void *)L4_SERVER_LOG_VADDR;
static const char *const log_text = (const char *)(L4_SERVER_LOG_VADDR + L4_LOG_TEXT_OFFSET);

/* The guest's request that is being written. */
static struct l4_chain sending;
static bool sending_active;
static u64 sending_seal; /* of all of it, as it was checked */

static struct l4_chain receiving;

/* The step that is being prepared. */
static struct output *next;

static const struct uart *uart(void)
{
	return uarts[info->uart];
}

static void begin(void)
{
	next = &state->record[!state->current];
	*next = state->record[state->current];
}

static void commit(void)
{
	/* Nothing was put: whichever of the two our successor finds, it finds a whole record. */
	l4_store_release(&state->putting, (u32)(next - state->record));
	l4_store_release(&state->current, (u32)(next - state->record));
}

static void add_out(u8 byte)
{
	next->out[next->out_count++] = byte;
}

static void emit(char channel, u8 byte)
{
	next->out_first = next->out_count = 0;
	if (next->channel != channel) {
		if (next->log_line_open)
			add_out('\n');
		next->log_line_open = 0;
		add_out(MARK);
		add_out((u8)channel);
		next->channel = (u8)channel;
	}
	if (byte == MARK)
		add_out(MARK);
	add_out(byte);
	if (channel == 'L')
		next->log_line_open = byte != '\n';
}

static bool next_of_log(void)
{
	u64 head = l4_load_acquire(&log_header->head);

	begin();
	if (next->log_position == head)
		return false;
	if (head - next->log_position > L4_LOG_TEXT_SIZE)
		next->log_position = head - L4_LOG_TEXT_SIZE;
	emit('L', (u8)l4_read_once(log_text[next->log_position % L4_LOG_TEXT_SIZE]));
	next->log_position++;
	commit();
	return true;
}

static u64 seal_of_sending(void)
{
	u64 sum = sending.readable + sending.count + sending.head;
	u16 i;

	for (i = 0; i < sending.count && i < L4_CHAIN_MAX; i++)
		sum += sending.buffer[i].addr * 3 + sending.buffer[i].bytes * 5UL + sending.buffer[i].write;
	return sum;
}

/* The byte after so many. Readable buffers come first, and hold more than those. */
static u8 byte_of_sending(u32 sent)
{
	const struct l4_buffer *buffer = sending.buffer;

	for (; sent >= buffer->bytes; buffer++)
		sent -= buffer->bytes;
	return *(volatile u8 *)l4_backend_memory(&backend, buffer->addr + sent);
}

static bool next_of_guest(void)
{
	u16 place = backend.queue[TRANSMIT].avail_next;

	if (!sending_active) {
		if (l4_backend_peek(&backend, TRANSMIT, &sending) <= 0)
			return false;
		l4_backend_advance(&backend, TRANSMIT);
		begin();
		if (next->request != place)
			next->sent = 0;
		next->request = place;
		commit();
		sending_seal = seal_of_sending();
		sending_active = true;
	}
	/* It stays here for as long as the line takes, and a wild store would make us write whatever. */
	if (sending_seal != seal_of_sending())
		l4_die("request was changed");
	begin();
	if (next->sent < sending.readable) {
		emit('G', byte_of_sending(next->sent));
		next->sent++;
		commit();
	}
	if (next->sent >= sending.readable) {
		sending_active = false;
		l4_backend_push(&backend, TRANSMIT, sending.head, 0);
		l4_backend_interrupt(&backend, TRANSMIT);
	}
	return true;
}

/* What does not fit here stays in the UART, and its interrupt off: a line would ask for ever. */
static void want_interrupts(bool room)
{
	uart()->want(state->typed - state->taken < INPUT_SIZE, room);
}

/* True: all is out. False: the line is full, an interrupt will tell. */
static bool transmit(void)
{
	struct l4_note note = {.intent = &state->putting, .done = &state->current};
	bool asked = false;

	for (;;) {
		begin();
		note.value = (u32)(next - state->record);
		if (next->out_first == next->out_count) {
			if (!next_of_log() && !next_of_guest())
				return true;
		} else if (uart()->put(next->out[next->out_first++ % sizeof(next->out)], &note)) {
			asked = false;
		} else if (asked) {
			return false;
		} else {
			want_interrupts(true);
			asked = true; /* room may have come before we asked */
		}
	}
}

/* Our predecessor may have given a request back and died before it noted that those bytes are gone. */
static void settle_given(void)
{
	if (state->given_place == backend.queue[RECEIVE].used_next)
		state->taken = state->given_until;
}

static void give(void)
{
	u32 waiting = state->typed - state->taken, written = 0;
	u16 i;

	l4_backend_advance(&backend, RECEIVE);
	for (i = 0; i < receiving.count; i++) {
		struct l4_buffer *buffer = &receiving.buffer[i];
		volatile u8 *to = l4_backend_memory(&backend, buffer->addr);

		for (; buffer->write && buffer->bytes && written < waiting; buffer->bytes--, written++)
			*to++ = state->input[(state->taken + written) % INPUT_SIZE];
	}
	l4_write_once(state->given_place, NO_REQUEST);
	l4_write_once(state->given_until, state->taken + written);
	l4_write_once(state->given_place, (u16)(backend.queue[RECEIVE].used_next + 1));
	l4_backend_push(&backend, RECEIVE, receiving.head, written);
	l4_write_once(state->taken, state->given_until);
	l4_backend_interrupt(&backend, RECEIVE);
}

static void receive(void)
{
	struct l4_note note = {.intent = &state->getting, .done = &state->typed};

	do
		note.value = state->typed + 1;
	while (state->typed - state->taken < INPUT_SIZE &&
	       uart()->get(&state->input[state->typed % INPUT_SIZE], &note));
	while (state->typed != state->taken && l4_backend_peek(&backend, RECEIVE, &receiving) > 0)
		give();
}

/* Whether what is kept can be true: a wild store, our predecessor's or our own, may have left anything. */
static bool sound(u64 log_head)
{
	const struct output *record = &state->record[state->current & 1];

	return state->magic == STATE_MAGIC && state->current < 2 && record->out_first <= record->out_count &&
	       record->out_count <= sizeof(record->out) && record->log_position <= log_head &&
	       (record->channel == 'L' || record->channel == 'G') && state->typed - state->taken <= INPUT_SIZE;
}

/* Our predecessor may have died between an access to the UART and the note of it. */
static void settle_accesses(const struct l4_frame *last)
{
	u8 byte;

	if (state->getting == state->typed + 1 && l4_noted_loaded(last, &byte)) {
		state->input[state->typed % INPUT_SIZE] = byte;
		state->typed++;
	}
	state->getting = state->typed;
	if (state->putting == !state->current && l4_noted_stored(last))
		state->current = state->putting;
	state->putting = state->current;
}

static void forget_requests(void)
{
	begin();
	next->request = NO_REQUEST;
	commit();
	l4_write_once(state->given_place, NO_REQUEST);
}

int l4_main(void *arg)
{
	static const u8 config[CONFIG_BYTES];
	unsigned long bits = L4_SERVER_EVENT_IRQ, position;
	bool done, again, first = true;

	if (info->uart >= sizeof(uarts) / sizeof(uarts[0]))
		l4_die("no driver for serial line %lu", info->uart);
	uart()->init();
	l4_backend_init(&backend, info, CONSOLE_ID, 0, 2, QUEUE_SIZE, config, CONFIG_BYTES);
	position = l4_server_ready();
	if (sound(position)) {
		settle_accesses(l4_predecessor());
	} else {
		memset(state, 0, sizeof(*state));
		state->record[0].log_position = position;
		state->record[0].channel = 'L';
		state->record[0].request = NO_REQUEST;
		state->given_place = NO_REQUEST;
		l4_store_release(&state->magic, STATE_MAGIC);
	}
	backend.kept = state->given_back;
	for (;;) {
		enum l4_backend_action action;

		if (bits & L4_SERVER_EVENT_IRQ)
			uart()->interrupt();
		action = l4_backend_poll(&backend);
		if (action != L4_BACKEND_NONE) {
			sending_active = false;
			/* The same ring as our predecessor's, or another one. */
			if (first && action == L4_BACKEND_START)
				settle_given();
			else
				forget_requests();
			l4_backend_done(&backend);
		}
		first = false;
		do {
			receive();
			done = transmit();
			again = l4_backend_kicks(&backend, RECEIVE, true) && state->typed != state->taken;
			again |= l4_backend_kicks(&backend, TRANSMIT, true) && done;
		} while (again);
		/* Whatever made the line ask is done with, or its interrupt is off; an edge that came meanwhile is
		 * kept by L4. */
		want_interrupts(!done);
		if (bits & L4_SERVER_EVENT_IRQ)
			l4_irq_handler_ack(L4_SERVER_SLOT_IRQ);
		if (bits & L4_SERVER_EVENT_PING) {
			backend.settled = true;
			if (!sound(l4_load_acquire(&log_header->head)))
				l4_die("what is kept contradicts itself");
			/* A request that was taken and has not gone back is the one that is being written. */
			if ((u16)(backend.queue[TRANSMIT].avail_next - backend.queue[TRANSMIT].used_next) !=
			    (sending_active ? 1 : 0))
				l4_die("queue %u contradicts itself", TRANSMIT);
			l4_server_pong(!done);
		}
		l4_wait(L4_SERVER_SLOT_EVENT, &bits);
	}
}
