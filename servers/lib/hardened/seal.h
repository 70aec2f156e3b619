/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Seals: checksums of what a program keeps, against its own stray stores. A record ends in a word named seal, made by
 * seal_record() after each change, and is used through sealed_copy(), which ends the program if they do not fit: a
 * restart costs less than a wrong address. This is no protection from an attacker.
 */
#ifndef HARDENED_SEAL_H
#define HARDENED_SEAL_H

#include <base/lib.h>

#define SEAL_START  0x33474f4c4f534e43UL
#define SEAL_FACTOR 0x9e3779b97f4a7c15UL /* odd, so that each step can be undone: no change of one word is lost */

static inline __attribute__((always_inline)) u64 seal_add(u64 sum, u64 word) { return (sum ^ word) * SEAL_FACTOR; }

/* Checksum of a record's words. Never 0 for words that are all zero; changes with any single word. */
static inline __attribute__((always_inline)) u64 seal_of(const u64 *word, size_t words)
{
	u64 sum = SEAL_START;
	size_t i;

#pragma GCC unroll 8
	for (i = 0; i < words; i++)
		sum = seal_add(sum, word[i]);
	return sum;
}

#define seal_words(record)     (offsetof(__typeof__(*(record)), seal) / sizeof(u64))
#define seal_of_record(record) seal_of((const u64 *)(record), seal_words(record))
#define seal_record(record)    ((record)->seal = seal_of_record(record))

/*
 * A copy of a record of a few words whose seal fits. The copy stays in registers: what is checked is what is used, and
 * no stray store comes in between. The message is l4_die()'s.
 */
#define sealed_copy(record, ...)                          \
	({                                                \
		__typeof__(*(record)) copy_ = *(record);  \
		if (copy_.seal != seal_of_record(&copy_)) \
			l4_die(__VA_ARGS__);              \
		copy_;                                    \
	})

#endif
