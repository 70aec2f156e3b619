/* SPDX-License-Identifier: BSD-2-Clause */
/* What the files of the micro suite share: an operation, the clock, and how errors end the program. */
#ifndef MICRO_H
#define MICRO_H

#include <stdint.h>
#include <sys/types.h>

enum { page = 4096 };

/* One operation of Linux that is worth a figure. */
struct operation {
	const char *name;
	/* How often a long round does it. The round must end within a tick of 10 ms at one nanosecond an instruction,
	 * and the more often, the less does a coarse clock matter. */
	int count;
	/* Do it count times; return the nanoseconds that this took, without the preparations. */
	int64_t (*run)(int count);
};

extern const struct operation syscall_operations[], signal_operations[], message_operations[], memory_operations[],
	process_operations[], thread_operations[], network_operations[];

extern char *own_path;

int64_t now(void);
/* The clock around what an operation is, without its preparations: since() is the nanoseconds from begin() on. In the round
 * for L4's counters, both note these as well. */
int64_t begin(void);
int64_t since(int64_t start);
/* End the program with the system's reason unless good holds. */
void must(int good, const char *what);
/* Send byte after byte back until there are no more; does not return. */
_Noreturn void echo(int in, int out);
void end_child(pid_t child);
/* Send a byte and wait for it to come back, count times; return the nanoseconds. */
int64_t ping(int out, int in, int count);

/* The time of a loop over one statement. */
#define TIMED(count, statement)                        \
	do {                                           \
		int64_t start_ = begin();              \
		for (int i_ = 0; i_ < (count); i_++) { \
			statement;                     \
		}                                      \
		return since(start_);                  \
	} while (0)

#endif
