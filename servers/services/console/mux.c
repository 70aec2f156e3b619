/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Output: two channels on one line. The bytes 0x01 'L' and 0x01 'G' switch the line to the log or to the guest; it starts
 * with the log. The log goes first, and no switch cuts one of its lines. A byte 0x01 in the text goes out twice. Nothing
 * is dropped: what the line does not take stays where it is.
 */
#include <abi_servers.h>
#include <abi_boot.h>
#include <base/lib.h>

#include "input.h"
#include "line.h"
#include "mux.h"
#include "record.h"
#include "request.h"

#define MARK 0x01

static const struct l4_log_header *const log_header = (const void *)L4_SERVER_LOG_VADDR;
static const char *const log_text = (const char *)(L4_SERVER_LOG_VADDR + L4_LOG_TEXT_OFFSET);

static struct request sending;

static void add_out(struct record *to, u8 byte) { to->out |= (u64)byte << to->out_count++ * 8; }

/* Add a byte of a channel, with the marks that it needs. Not inlined: faults are made here (orchestration/faults). */
static __attribute__((noinline)) void emit(struct record *to, char channel, u8 byte)
{
	if (to->channel != channel) {
		if (to->log_line_open)
			add_out(to, '\n');
		to->log_line_open = 0;
		add_out(to, MARK);
		add_out(to, (u8)channel);
		to->channel = (u8)channel;
	}
	if (byte == MARK)
		add_out(to, MARK);
	add_out(to, byte);
	if (channel == 'L')
		to->log_line_open = byte != '\n';
}

/* Whether another byte of the channel that is on fits, doubled if it is a mark. */
static bool fits(const struct record *to) { return to->out_count + 2U <= sizeof(to->out); }

static bool next_of_log(struct record *to)
{
	u64 head = l4_load_acquire(&log_header->head);

	if (to->log_position == head)
		return false;
	if (head - to->log_position > L4_LOG_TEXT_SIZE)
		to->log_position = head - L4_LOG_TEXT_SIZE;
	do
		emit(to, 'L', (u8)l4_read_once(log_text[to->log_position++ % L4_LOG_TEXT_SIZE]));
	while (to->log_position != head && fits(to));
	return true;
}

/* Byte number `sent` of the request. Readable buffers come first, and hold more bytes than that. */
static u8 byte_of_sending(u32 sent)
{
	const struct guest_buffer *buffer = sending.chain.buffer;

	for (; sent >= buffer->bytes; buffer++)
		sent -= buffer->bytes;
	return *(volatile u8 *)backend_memory(&guest_console, buffer->gpa + sent);
}

static bool next_of_request(struct record *to)
{
	u64 end = l4_read_once(sending.chain.readable);

	if (to->sent >= end)
		return false;
	do
		emit(to, 'G', byte_of_sending(to->sent++));
	while (to->sent < end && fits(to));
	return true;
}

/* Decide on the next bytes, when all before are out: twice, by the same function. False: there are none. */
static bool decide(bool (*next)(struct record *to))
{
	unsigned int tries;
	bool first, second;

	for (tries = 0; tries < TRIES; tries++) {
		record_begin();
		first = next(&record_work[0]);
		second = next(&record_work[1]);
		if (first != second || !record_equal(&record_work[0], &record_work[1]))
			continue;
		if (request_underway(TRANSMIT))
			request_check(&sending);
		if (first)
			record_commit();
		return first;
	}
	/* The guest, or a device that it was given, may write there. */
	if (request_underway(TRANSMIT))
		backend_break(&guest_console, "bytes do not keep still");
	else
		l4_die("two looks at the log differ");
	return false;
}

static bool decide_on_guest(void)
{
	unsigned int i;

	if (!request_underway(TRANSMIT)) {
		if (!request_take(TRANSMIT, &sending))
			return false;
		record_begin();
		for (i = 0; i < 2; i++) {
			u16 place = backend_given_back(&guest_console, TRANSMIT);

			if (record_work[i].request != place)
				record_work[i].sent = 0;
			record_work[i].request = place;
		}
		record_commit();
	}
	if (decide(next_of_request))
		return true;
	if (!request_underway(TRANSMIT))
		return false;
	if (RECORD_FIELD(sent) < l4_read_once(sending.chain.readable))
		l4_die("request was given up");
	backend_push(&guest_console, TRANSMIT, sending.chain.head, 0);
	backend_publish(&guest_console, TRANSMIT);
	backend_interrupt(&guest_console, TRANSMIT);
	return true;
}

void mux_byte_out(void)
{
	unsigned int i;

	record_begin();
	for (i = 0; i < 2; i++) {
		record_work[i].out >>= 8;
		record_work[i].out_count--;
	}
	record_commit();
}

/*
 * Put the next byte into the UART. False: there is no room. From the comparison on the byte is in registers; the function
 * is not inlined, so that no caller's variables push it to the stack.
 */
static __attribute__((noinline)) bool put(void)
{
	u64 step;

	if (!uart()->room())
		return false;
	step = RECORD_FIELD(step);
	check_note(step);
	if (!RECORD_FIELD(out_count))
		l4_die("nothing is decided on");
	l4_noted_invoke(uart_registers()->slot, uart_store(), uart_base(), uart()->data_width, (u8)RECORD_FIELD(out),
	                &state->note, note_of(step, NOTE_PUT));
	mux_byte_out();
	return true;
}

bool mux_transmit(unsigned int *left)
{
	bool asked = false;

	for (; *left; --*left) {
		if (!RECORD_FIELD(out_count)) {
			if (!decide(next_of_log) && !decide_on_guest())
				return true;
		} else if (put()) {
			asked = false;
		} else if (asked) {
			return false;
		} else {
			input_want_interrupts(true, false);
			asked = true; /* room may have come before we asked */
		}
	}
	return false;
}
