/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The serial line of the machine, shared by the kernel's log and the guest's virtio console.
 *
 * Output: the bytes 0x01 'L' and 0x01 'G' switch the line to the log or to the guest; it starts with the log.
 * The log goes first, and no switch cuts one of its lines. A byte 0x01 of theirs goes out twice. Input is the
 * guest's. Nothing is dropped: what the line does not take stays where it is, and what the guest does not
 * take waits here, then in the UART.
 *
 * What has gone out and what was typed is kept in the DMA memory, which outlives this task, in steps: each is computed
 * twice, compared, and stored in several copies with a seal each, one after the other. Wherever we die, our successor
 * finds a whole one and neither loses nor repeats. A serial line has no checksum, so a store of ours that goes astray
 * must not change what passes here: nothing takes effect that was not looked at twice, and where that differs we die.
 * The UART does not tell what was done with it: l4/noted_access.h.
 */
#include <virtio/backend.h>
#include <l4/invoke.h>
#include <base/lib.h>
#include <base/server.h>

#include <class/serial.h>

#define CONSOLE_ID   3 /* virtio 1.2, section 5.3 */
#define CONFIG_BYTES 12
#define RING_SIZE    64
#define RECEIVE      0
#define TRANSMIT     1

#define MARK       0x01
#define INPUT_SIZE 2048 /* a power of two; what the guest does not take stays in the UART */
#define NO_REQUEST 0xffffffffU
#define COPIES     4
#define TRIES      3 /* memory that we share may change between two looks at it */
#define NO_COUNT   0xffffffffU

/* What is about to be done with the UART, in a note; its step is above. */
#define NOTE_STEP_SHIFT 9
#define NOTE_GET        0x100U

struct record {
	u64 step; /* counts changes of the record */
	u64 log_position;
	u64 out;     /* bytes that are decided on but not yet in the UART, the first is the lowest */
	u32 request; /* place in the ring of the guest's request that is being written */
	u32 sent;    /* bytes of it */
	/* Typed, not yet given to the guest: [taken, typed), both counted for ever. */
	u32 typed, taken;
	/* The last that was given: once the request at given_place has gone back, taken is given_until. */
	u32 given_place, given_until;
	u8 out_count, channel, log_line_open, zero[5];
	u64 seal;
};
#define RECORD_WORDS (sizeof(struct record) / 8)
_Static_assert(offsetof(struct record, seal) == (RECORD_WORDS - 1) * 8, "the seal is last, without a gap before it");

/* In pages of their own: what goes astray in one of them leaves the others. */
struct state {
	struct {
		struct record record;
		u8 free[L4_PAGE_SIZE - sizeof(struct record)];
	} copy[COPIES];
	u32 input[2][INPUT_SIZE]; /* bytes typed, as entry() makes them */
	struct l4_note note;
	u64 given_back[2]; /* struct backend's kept */
};

static const struct uart *const uarts[] = { [L4_UART_NS16550] = &ns16550, [L4_UART_PL011] = &pl011 };
static struct backend backend;
static struct state *const state = (void *)L4_SERVER_DMA_VADDR;
static const struct l4_log_header *const log_header = (const void *)L4_SERVER_LOG_VADDR;
static const char *const log_text = (const char *)(L4_SERVER_LOG_VADDR + L4_LOG_TEXT_OFFSET);

/* A request of the guest that has been taken off its ring, and its seal when it was checked. */
struct request {
	struct guest_chain chain;
	u64 seal;
};
static struct request sending, receiving;

/* The step that is being prepared. */
static struct record work[2];

static const struct uart *uart(void) { return uarts[info->uart]; }

static struct record *copy(unsigned int i) { return &state->copy[i].record; }

/* Of no record that is all zero, and another for each value of one word. */
static u64 seal_of(const struct record *record)
{
	const volatile u64 *word = (const volatile u64 *)record;
	u64 sum = 0x33474f4c4f534e43UL;
	unsigned int i;

	for (i = 0; i < RECORD_WORDS - 1; i++)
		sum = (sum ^ word[i]) * 0x9e3779b97f4a7c15UL;
	return sum;
}

static bool valid(const struct record *record) { return l4_read_once(record->seal) == seal_of(record); }

static bool equal(const struct record *a, const struct record *b)
{
	const volatile u64 *x = (const volatile u64 *)a, *y = (const volatile u64 *)b;
	u64 difference = 0;
	unsigned int i;

	for (i = 0; i < RECORD_WORDS; i++)
		difference |= x[i] ^ y[i];
	return !difference;
}

static void begin(void)
{
	work[0] = *copy(0);
	work[1] = *copy(1);
}

/* Whichever of the copies is stored last when we die, our successor finds a whole one. */
static void commit(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		work[i].step++;
		work[i].seal = seal_of(&work[i]);
	}
	if (!equal(&work[0], &work[1]))
		l4_die("two ways to a step differ");
	for (i = 0; i < COPIES; i++) {
		*copy(i) = work[i & 1];
		if (!valid(copy(i)))
			l4_die("what was stored is not what is there");
	}
}

/* A field that all copies should have alike. */
#define FIELD(name)                                                             \
	({                                                                      \
		__typeof__(copy(0)->name) value_ = l4_read_once(copy(0)->name); \
		if (value_ != l4_read_once(copy(1)->name))                      \
			l4_die(#name " was changed");                           \
		value_;                                                         \
	})

/* What to note of an access. One whose step was not made is our successor's to settle. */
static inline u64 note_of(u64 step, u64 kind) { return (step + 1) << NOTE_STEP_SHIFT | kind; }

static inline void check_note(u64 step)
{
	if (l4_read_once(state->note.intent) >> NOTE_STEP_SHIFT > step)
		l4_die("an access without its step");
}

static u64 seal_of_chain(const struct guest_chain *chain)
{
	u64 sum = (chain->readable * 7 + chain->writable) * 11 + chain->count * 13UL + chain->head;
	u16 i;

	for (i = 0; i < chain->count && i < CHAIN_MAX; i++)
		sum = (sum + chain->buffer[i].gpa * 3 + chain->buffer[i].bytes * 5UL + chain->buffer[i].write) *
		      0x9e3779b97f4a7c15UL;
	return sum;
}

/* It stays here for as long as the line takes, and a wild store would make us write whatever, or anywhere. */
static void check_request(const struct request *request)
{
	if (l4_read_once(request->seal) != seal_of_chain(&request->chain))
		l4_die("request was changed");
}

/* True: *request is the oldest request of a queue. */
static bool take_request(unsigned int queue, struct request *request)
{
	static struct guest_chain again;
	unsigned int tries;

	for (tries = 0; tries < TRIES; tries++) {
		if (backend_peek(&backend, queue, &request->chain) <= 0 || backend_peek(&backend, queue, &again) <= 0)
			return false;
		request->seal = seal_of_chain(&again);
		if (request->seal == seal_of_chain(&request->chain)) {
			backend_advance(&backend, queue);
			return true;
		}
	}
	backend_break(&backend, "request does not keep still");
	return false;
}

/* Requests of a queue are taken one by one. */
static bool underway(unsigned int queue) { return backend_taken(&backend, queue); }

static void add_out(struct record *to, u8 byte) { to->out |= (u64)byte << to->out_count++ * 8; }

/* A function of its own in the program: faults are made here (orchestration/faults/inject.py). */
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

/* Whether what may become of another byte fits, once its channel is on. */
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

/* The byte after so many. Readable buffers come first, and hold more than those. */
static u8 byte_of_sending(u32 sent)
{
	const struct guest_buffer *buffer = sending.chain.buffer;

	for (; sent >= buffer->bytes; buffer++)
		sent -= buffer->bytes;
	return *(volatile u8 *)backend_memory(&backend, buffer->gpa + sent);
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

/* Decide on the next bytes, when all that were before are out. False: there are none. */
static bool decide(bool (*next)(struct record *to))
{
	unsigned int tries;
	bool first, second;

	for (tries = 0; tries < TRIES; tries++) {
		begin();
		first = next(&work[0]);
		second = next(&work[1]);
		if (first != second || !equal(&work[0], &work[1]))
			continue;
		if (underway(TRANSMIT))
			check_request(&sending);
		if (first)
			commit();
		return first;
	}
	/* A guest may have a device of its own write there. */
	if (underway(TRANSMIT))
		backend_break(&backend, "bytes do not keep still");
	else
		l4_die("two looks at the log differ");
	return false;
}

static bool decide_on_guest(void)
{
	unsigned int i;

	if (!underway(TRANSMIT)) {
		if (!take_request(TRANSMIT, &sending))
			return false;
		begin();
		for (i = 0; i < 2; i++) {
			u16 place = backend_given_back(&backend, TRANSMIT);

			if (work[i].request != place)
				work[i].sent = 0;
			work[i].request = place;
		}
		commit();
	}
	if (decide(next_of_request))
		return true;
	if (!underway(TRANSMIT))
		return false;
	if (FIELD(sent) < l4_read_once(sending.chain.readable))
		l4_die("request was given up");
	backend_push(&backend, TRANSMIT, sending.chain.head, 0);
	backend_interrupt(&backend, TRANSMIT);
	return true;
}

/* What does not fit here stays in the UART, and its interrupt off: a line would ask for ever. */
static bool input_fits(void) { return FIELD(typed) - FIELD(taken) < INPUT_SIZE; }

static void want_interrupts(bool room, bool anew) { uart()->want(input_fits(), room, anew); }

static void shift_out(void)
{
	unsigned int i;

	begin();
	for (i = 0; i < 2; i++) {
		work[i].out >>= 8;
		work[i].out_count--;
	}
	commit();
}

/*
 * The next byte goes out. From the comparison on it is in registers: a function of its own, since no other one's
 * variables are in the way then.
 */
static __attribute__((noinline)) bool put(void)
{
	u64 step;

	if (!uart()->room())
		return false;
	step = FIELD(step);
	check_note(step);
	if (!FIELD(out_count))
		l4_die("nothing is decided on");
	l4_noted_invoke(L4_SERVER_SLOT_REGS, uart_store(), info->ioport_base, uart()->data_width, (u8)FIELD(out),
	                &state->note, note_of(step, 0));
	shift_out();
	return true;
}

/* True: all is out. False: the line is full, an interrupt will tell. */
static bool transmit(void)
{
	bool asked = false;

	for (;;) {
		if (!FIELD(out_count)) {
			if (!decide(next_of_log) && !decide_on_guest())
				return true;
		} else if (put()) {
			asked = false;
		} else if (asked) {
			return false;
		} else {
			want_interrupts(true, false);
			asked = true; /* room may have come before we asked */
		}
	}
}

/* A byte typed: whose it is and that it is whole. */
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

/* As it came, and as it is in the note. */
static void keep_typed(u8 byte)
{
	unsigned int i;
	u32 index;

	begin();
	for (i = 0; i < 2; i++) {
		index = work[i].typed++;
		l4_write_once(state->input[i][index % INPUT_SIZE],
		              entry(index, i ? (u8)l4_read_once(state->note.done) : byte));
	}
	index = FIELD(typed) % INPUT_SIZE;
	if (l4_read_once(state->input[0][index]) != l4_read_once(state->input[1][index]))
		l4_die("a byte typed was changed");
	commit();
}

static __attribute__((noinline)) bool get(void)
{
	u64 step;

	if (!uart()->received())
		return false;
	step = FIELD(step);
	check_note(step);
	keep_typed(l4_noted_invoke(L4_SERVER_SLOT_REGS, uart_load(), info->ioport_base, uart()->data_width, 0,
	                           &state->note, note_of(step, NOTE_GET)));
	return true;
}

/* Our predecessor may have given a request back and died before it noted that those bytes are gone. */
static void settle_given(void)
{
	unsigned int i;

	begin();
	for (i = 0; i < 2; i++)
		if (work[i].given_place == backend_given_back(&backend, RECEIVE))
			work[i].taken = work[i].given_until;
	commit();
}

/* Fill the guest's buffers, or look whether they are filled. Returns how many bytes it gets; NO_COUNT: not filled. */
static u32 fill(bool look)
{
	u32 at = FIELD(taken), waiting = FIELD(typed) - at, written = 0, n;
	u16 i;

	for (i = 0; i < receiving.chain.count; i++) {
		const struct guest_buffer *buffer = &receiving.chain.buffer[i];
		volatile u8 *to = backend_memory(&backend, buffer->gpa);

		for (n = 0; buffer->write && n < buffer->bytes && written < waiting; n++, written++) {
			if (!look)
				to[n] = byte_typed(at + written);
			else if (to[n] != byte_typed(at + written))
				return NO_COUNT;
		}
	}
	return written;
}

/* False: the guest does not take it, and its queues were let go. */
static bool give(void)
{
	static const char why[] = "what was typed does not stay in its buffer";
	unsigned int tries, i;
	u32 count;

	for (tries = 0; fill(false) != fill(true); tries++)
		if (tries == TRIES) {
			backend_break(&backend, why);
			return false;
		}
	begin();
	for (i = 0; i < 2; i++) {
		work[i].given_place = (u16)(backend_given_back(&backend, RECEIVE) + 1);
		count = fill(true);
		if (count > work[i].typed - work[i].taken) {
			backend_break(&backend, why);
			return false;
		}
		work[i].given_until = work[i].taken + count;
	}
	check_request(&receiving);
	commit();
	backend_push(&backend, RECEIVE, receiving.chain.head, FIELD(given_until) - FIELD(taken));
	begin();
	for (i = 0; i < 2; i++)
		work[i].taken = work[i].given_until;
	commit();
	backend_interrupt(&backend, RECEIVE);
	return true;
}

static void receive(void)
{
	while (input_fits() && get())
		;
	while (FIELD(typed) != FIELD(taken) && take_request(RECEIVE, &receiving) && give())
		;
}

/* Whether what is kept can be true: whoever left it may have been out of its mind before it was sealed. */
static bool sound(const struct record *record)
{
	return valid(record) && record->out_count <= sizeof(record->out) &&
	       record->log_position <= l4_load_acquire(&log_header->head) &&
	       (record->channel == 'L' || record->channel == 'G') && record->typed - record->taken <= INPUT_SIZE;
}

static void store_all(const struct record *record)
{
	unsigned int i;

	for (i = 0; i < COPIES; i++)
		*copy(i) = *record;
	state->note.intent = state->note.done = record->step << NOTE_STEP_SHIFT;
}

/* Our predecessor may have died between an access to the UART and the step that follows it. */
static void settle_access(const struct l4_frame *last)
{
	struct l4_note note = state->note;
	u64 step = FIELD(step);
	u8 byte;

	if (note.intent == note_of(step, 0) && l4_noted_made(&note, note.intent, last, &byte)) {
		state->note.done = note.intent;
		shift_out();
	} else if (note.intent == note_of(step, NOTE_GET) && l4_noted_made(&note, note.intent, last, &byte)) {
		state->note.done = note.intent | byte;
		keep_typed(byte);
	}
}

/* True: we go on where our predecessor was. The last step that is whole counts. */
static bool inherit(void)
{
	const struct record *last = NULL;
	struct record record;
	unsigned int i;

	for (i = 0; i < COPIES; i++)
		if (sound(copy(i)) && (!last || copy(i)->step > last->step))
			last = copy(i);
	if (!last)
		return false;
	record = *last;
	for (i = 0; i < COPIES; i++)
		*copy(i) = record;
	settle_access(l4_predecessor());
	store_all(copy(0));
	return true;
}

static void start_anew(u64 position)
{
	struct record record = {
		.log_position = position, .channel = 'L', .request = NO_REQUEST, .given_place = NO_REQUEST
	};

	record.seal = seal_of(&record);
	store_all(&record);
}

static void forget_requests(void)
{
	unsigned int i;

	begin();
	for (i = 0; i < 2; i++)
		work[i].request = work[i].given_place = NO_REQUEST;
	commit();
}

/* Before we say that we are well: are we? */
static void examine(void)
{
	unsigned int i;

	backend.settled = true;
	for (i = 0; i < COPIES; i++)
		if (!sound(copy(i)) || !equal(copy(i), copy(0)))
			l4_die("what is kept contradicts itself");
	check_note(FIELD(step));
	/* A request that was taken and has not gone back is the one that is being written. */
	if (backend_taken(&backend, TRANSMIT) > 1 || underway(RECEIVE))
		l4_die("queues contradict themselves");
}

int l4_main(void *arg)
{
	static const u8 config[CONFIG_BYTES];
	unsigned long bits = L4_SERVER_EVENT_IRQ, position;
	bool done, again, inherited, first = true;

	if (info->uart >= sizeof(uarts) / sizeof(uarts[0]))
		l4_die("no driver for serial line %lu", info->uart);
	if (info->dma_size < sizeof(*state))
		l4_die("not enough memory to keep");
	/* At once: the registers that tell are those of the last that died. */
	inherited = inherit();
	uart()->init();
	backend_init(&backend, info,
	             &(struct backend_device){
			     .device_id = CONSOLE_ID,
			     .queue_count = 2,
			     .queue_size = RING_SIZE,
			     .config = config,
			     .config_bytes = CONFIG_BYTES,
			     .kept = state->given_back,
		     });
	position = l4_server_ready();
	if (!inherited)
		start_anew(position);
	for (;;) {
		enum backend_action action;

		/* An interrupt that got lost here is found at the next ping. */
		if (bits & (L4_SERVER_EVENT_IRQ | L4_SERVER_EVENT_PING))
			uart()->interrupt();
		action = backend_poll(&backend);
		if (action != BACKEND_NONE) {
			/* The same ring as our predecessor's, or another one. */
			if (first && action == BACKEND_START)
				settle_given();
			else
				forget_requests();
			backend_done(&backend);
		}
		first = false;
		do {
			receive();
			done = transmit();
			again = backend_kicks(&backend, RECEIVE, true) && FIELD(typed) != FIELD(taken);
			again |= backend_kicks(&backend, TRANSMIT, true) && done;
		} while (again);
		/* Whatever made the line ask is done with, or its interrupt is off; an edge that came meanwhile is
		 * kept by L4. */
		want_interrupts(!done, bits & L4_SERVER_EVENT_PING);
		if (bits & (L4_SERVER_EVENT_IRQ | L4_SERVER_EVENT_PING))
			l4_irq_handler_ack(L4_SERVER_SLOT_IRQ);
		if (bits & L4_SERVER_EVENT_PING) {
			examine();
			l4_server_pong(!done);
		}
		l4_wait(L4_SERVER_SLOT_EVENT, &bits);
	}
}
