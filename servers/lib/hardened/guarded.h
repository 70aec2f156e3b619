/* SPDX-License-Identifier: BSD-2-Clause */
/* Single values beside their complement, against a program's own stray stores: one that was changed is not used. */
#ifndef HARDENED_GUARDED_H
#define HARDENED_GUARDED_H

#include <base/lib.h>

/* A value on its way: in one word, which the compiler may keep on the stack in between. */
static inline u64 guard(u32 value)
{
	u64 word = (u64)~value << 32 | value;

	asm volatile("" : "+r"(word)); /* else the compiler knows the value and drops the check */
	return word;
}

static inline u32 guarded_value(u64 word, const char *what)
{
	asm volatile("" : "+r"(word));
	if ((u32)(word >> 32) != ~(u32)word)
		l4_die("%s was changed", what);
	return (u32)word;
}

/* A variable. Initialise with { value, ~value }. */
struct guarded {
	u32 value, complement;
};

static inline u32 guarded_get(const struct guarded *from)
{
	u32 value = l4_read_once(from->value);

	if (value != ~l4_read_once(from->complement))
		l4_die("a variable was changed");
	return value;
}

static inline void guarded_set(struct guarded *to, u32 value)
{
	l4_write_once(to->value, value);
	l4_write_once(to->complement, ~value);
}

#endif
