/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The record: what has gone out and what was typed, in the DMA memory, which outlives this task.
 *
 * It changes in steps. A step is prepared twice in record_work, compared, and stored in several copies with a seal each,
 * one after the other: wherever the task dies, its successor finds a whole copy and neither loses nor repeats a byte. A
 * serial line has no checksum, so a stray store must not change what passes here: no value is used that was not read
 * twice, and where two readings differ the task dies.
 */
#ifndef CONSOLE_RECORD_H
#define CONSOLE_RECORD_H

#include <abi_servers.h>
#include <class/serial.h>

#define INPUT_SIZE 2048 /* a power of two; what the guest does not take stays in the UART */
#define NO_REQUEST 0xffffffffU
#define COPIES     4

struct record {
	u64 step; /* counts changes of the record */
	u64 log_position;
	u64 out;     /* bytes that go out next but are not yet in the UART, the first is the lowest */
	u32 request; /* place in the ring of the guest's request that is being written */
	u32 sent;    /* bytes of that request */
	/* [taken, typed) has been typed and not yet given to the guest; neither number ever wraps back. */
	u32 typed, taken;
	/* The bytes given last: once the request at given_place has gone back, taken is given_until. */
	u32 given_place, given_until;
	u8 out_count, channel, log_line_open, zero[5];
	u64 seal;
};
#define RECORD_WORDS (sizeof(struct record) / 8)
_Static_assert(offsetof(struct record, seal) == (RECORD_WORDS - 1) * 8, "the seal is last, without a gap before it");

/* The copies are in pages of their own: a stray store in one of them leaves the others. */
struct state {
	struct {
		struct record record;
		u8 free[L4_PAGE_SIZE - sizeof(struct record)];
	} copy[COPIES];
	u32 input[2][INPUT_SIZE]; /* bytes typed, as input.c stores them */
	struct l4_note note;
	u64 given_back[2]; /* struct backend's kept */
};

static struct state *const state = (void *)L4_SERVER_DMA_VADDR;

static inline struct record *record_copy(unsigned int i) { return &state->copy[i].record; }

/* The value of a field, the same in two copies. */
#define RECORD_FIELD(name)                                                                    \
	({                                                                                    \
		__typeof__(record_copy(0)->name) value_ = l4_read_once(record_copy(0)->name); \
		if (value_ != l4_read_once(record_copy(1)->name))                             \
			l4_die(#name " was changed");                                         \
		value_;                                                                       \
	})

/* The step that is being prepared, twice. */
extern struct record record_work[2];

/* Begin a step with what the record says; store the step. */
void record_begin(void);
void record_commit(void);

bool record_equal(const struct record *a, const struct record *b);

/*
 * What a note says of an access to the UART: the step that the access belongs to, and its kind. They are inline, since
 * an access is one run of instructions that keeps its values in registers (hardened/noted_access.h).
 */
#define NOTE_STEP_SHIFT 9
#define NOTE_PUT        0U
#define NOTE_GET        0x100U

static inline u64 note_of(u64 step, u64 kind) { return (step + 1) << NOTE_STEP_SHIFT | kind; }

/* Die if an access was noted whose step was not made: the successor settles it. */
static inline void check_note(u64 step)
{
	if (l4_read_once(state->note.intent) >> NOTE_STEP_SHIFT > step)
		l4_die("an access without its step");
}

/* Take over the last whole step of a predecessor. False: there is none. */
bool record_inherit(void);

/* Begin a record at a position in the log. */
void record_start(u64 log_position);

/* Store the first copy over the others, and a note that agrees with it. */
void record_settle(void);

/* Die if the record is inconsistent. */
void record_examine(void);

#endif
