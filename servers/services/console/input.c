/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Input: what is typed goes to the guest. What the guest does not take waits here, then in the UART; nothing is dropped.
 */
#include <abi_servers.h>
#include <base/lib.h>

#include "input.h"
#include "line.h"
#include "record.h"
#include "request.h"

#define NO_COUNT 0xffffffffU

static struct request receiving;

bool input_waits(void) { return RECORD_FIELD(typed) != RECORD_FIELD(taken); }

/* Whether one more byte fits. While none does, the interrupt of input is off: a line would stay raised for ever. */
static bool fits(void) { return RECORD_FIELD(typed) - RECORD_FIELD(taken) < INPUT_SIZE; }

void input_want_interrupts(bool room, bool anew) { uart()->want(fits(), room, anew); }

/* The word in which a byte is stored: its number and its inverse show that it is this byte, and whole. */
static u32 entry(u32 index, u8 byte) { return byte | (u32)(u8)~byte << 8 | index << 16; }

static u8 byte_typed(u32 index)
{
	unsigned int i;
	u32 found;

	for (i = 0; i < 2; i++) {
		found = l4_read_once(state->input[i][index % INPUT_SIZE]);
		if (found == entry(index, (u8)found))
			return (u8)found;
	}
	return '?';
}

/* The byte is stored twice: as it was passed here, and as it is in the note; the two must agree. */
void input_keep(u8 byte)
{
	unsigned int i;
	u32 index;

	record_begin();
	for (i = 0; i < 2; i++) {
		index = record_work[i].typed++;
		l4_write_once(state->input[i][index % INPUT_SIZE],
		              entry(index, i ? (u8)l4_read_once(state->note.done) : byte));
	}
	index = RECORD_FIELD(typed) % INPUT_SIZE;
	if (l4_read_once(state->input[0][index]) != l4_read_once(state->input[1][index]))
		l4_die("a byte typed was changed");
	record_commit();
}

/* Take a byte from the UART; not inlined, as put() in mux.c. False: there is none. */
static __attribute__((noinline)) bool get(void)
{
	u64 step;

	if (!uart()->received())
		return false;
	step = RECORD_FIELD(step);
	check_note(step);
	input_keep(l4_noted_invoke(uart_registers()->slot, uart_load(), uart_base(), uart()->data_width, 0,
	                           &state->note, note_of(step, NOTE_GET)));
	return true;
}

void input_settle(void)
{
	unsigned int i;

	record_begin();
	for (i = 0; i < 2; i++)
		if (record_work[i].given_place == backend_given_back(&guest_console, RECEIVE))
			record_work[i].taken = record_work[i].given_until;
	record_commit();
}

/* Fill the guest's buffers, or compare them. Returns how many bytes the guest gets; NO_COUNT: its buffers differ. */
static u32 fill(bool look)
{
	u32 at = RECORD_FIELD(taken), waiting = RECORD_FIELD(typed) - at, written = 0, n;
	u16 i;

	for (i = 0; i < receiving.chain.count; i++) {
		const struct guest_buffer *buffer = &receiving.chain.buffer[i];
		volatile u8 *to = backend_memory(&guest_console, buffer->gpa);

		for (n = 0; buffer->write && n < buffer->bytes && written < waiting; n++, written++) {
			if (!look)
				to[n] = byte_typed(at + written);
			else if (to[n] != byte_typed(at + written))
				return NO_COUNT;
		}
	}
	return written;
}

/* Give the guest what waits for it. False: its buffers change meanwhile, and its queues were let go. */
static bool give(void)
{
	static const char why[] = "what was typed does not stay in its buffer";
	unsigned int tries, i;
	u32 count;

	for (tries = 0; fill(false) != fill(true); tries++)
		if (tries == TRIES) {
			backend_break(&guest_console, why);
			return false;
		}
	record_begin();
	for (i = 0; i < 2; i++) {
		record_work[i].given_place = (u16)(backend_given_back(&guest_console, RECEIVE) + 1);
		count = fill(true);
		if (count > record_work[i].typed - record_work[i].taken) {
			backend_break(&guest_console, why);
			return false;
		}
		record_work[i].given_until = record_work[i].taken + count;
	}
	request_check(&receiving);
	record_commit();
	backend_push(&guest_console, RECEIVE, receiving.chain.head, RECORD_FIELD(given_until) - RECORD_FIELD(taken));
	backend_publish(&guest_console, RECEIVE);
	record_begin();
	for (i = 0; i < 2; i++)
		record_work[i].taken = record_work[i].given_until;
	record_commit();
	backend_interrupt(&guest_console, RECEIVE);
	return true;
}

void input_receive(unsigned int *left)
{
	while (fits() && get())
		;
	for (; *left && input_waits() && request_take(RECEIVE, &receiving) && give(); --*left)
		;
}
