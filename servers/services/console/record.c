/* SPDX-License-Identifier: GPL-2.0-only */
/* The record. */
#include <abi_boot.h>
#include <hardened/seal.h>

#include "record.h"

static const struct l4_log_header *const log_header = (const void *)L4_SERVER_LOG_VADDR;

struct record record_work[2];

/* Checksum of a record as it is in memory: a store is checked by it, so the compiler must not use what it stored. */
static u64 checksum(const struct record *record)
{
	const volatile u64 *word = (const volatile u64 *)record;
	u64 sum = SEAL_START;
	unsigned int i;

	for (i = 0; i < RECORD_WORDS - 1; i++)
		sum = seal_add(sum, word[i]);
	return sum;
}

static bool valid(const struct record *record) { return l4_read_once(record->seal) == checksum(record); }

bool record_equal(const struct record *a, const struct record *b)
{
	const volatile u64 *x = (const volatile u64 *)a, *y = (const volatile u64 *)b;
	u64 difference = 0;
	unsigned int i;

	for (i = 0; i < RECORD_WORDS; i++)
		difference |= x[i] ^ y[i];
	return !difference;
}

void record_begin(void)
{
	record_work[0] = *record_copy(0);
	record_work[1] = *record_copy(1);
}

void record_commit(void)
{
	unsigned int i;

	for (i = 0; i < 2; i++) {
		record_work[i].step++;
		record_work[i].seal = checksum(&record_work[i]);
	}
	if (!record_equal(&record_work[0], &record_work[1]))
		l4_die("two ways to a step differ");
	for (i = 0; i < COPIES; i++) {
		*record_copy(i) = record_work[i & 1];
		if (!valid(record_copy(i)))
			l4_die("what was stored is not what is there");
	}
}

/* Whether a copy is whole and consistent: a predecessor may have become inconsistent before it sealed the copy. */
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
		*record_copy(i) = *record;
}

void record_settle(void)
{
	store_all(record_copy(0));
	state->note.intent = state->note.done = record_copy(0)->step << NOTE_STEP_SHIFT;
}

bool record_inherit(void)
{
	const struct record *last = NULL;
	struct record record;
	unsigned int i;

	for (i = 0; i < COPIES; i++)
		if (sound(record_copy(i)) && (!last || record_copy(i)->step > last->step))
			last = record_copy(i);
	if (!last)
		return false;
	record = *last;
	store_all(&record);
	return true;
}

void record_start(u64 log_position)
{
	struct record record = {
		.log_position = log_position, .channel = 'L', .request = NO_REQUEST, .given_place = NO_REQUEST
	};

	record.seal = checksum(&record);
	store_all(&record);
	record_settle();
}

void record_examine(void)
{
	unsigned int i;

	for (i = 0; i < COPIES; i++)
		if (!sound(record_copy(i)) || !record_equal(record_copy(i), record_copy(0)))
			l4_die("what is kept contradicts itself");
	check_note(RECORD_FIELD(step));
}
