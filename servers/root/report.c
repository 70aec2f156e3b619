/* SPDX-License-Identifier: GPL-2.0-only */
/* Lines in the log, errors that end the system, time. */
#include <base/lib.h>
#include <l4/invoke.h>

#include "report.h"

#define HALT_SECONDS 2

const struct l4_boot_info *boot_info;

static void (*end)(void);
static const struct l4_log_header *kernel_log;
static char last_line[600];

void report_init(const struct l4_boot_info *info, void (*on_fail)(void))
{
	boot_info = info;
	end = on_fail;
}

void report_log(const struct l4_log_header *log) { kernel_log = log; }

/* Whether somebody's line is unfinished. */
static bool line_open(void)
{
	u64 head;

	if (!kernel_log)
		return false;
	head = l4_load_acquire(&kernel_log->head);
	return head && ((const char *)kernel_log)[L4_LOG_TEXT_OFFSET + (head - 1) % L4_LOG_TEXT_SIZE] != '\n';
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	l4_vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	l4_printf("%sroot: %s", line_open() ? "\n" : "", last_line);
}

const char *report_last(void) { return last_line; }

void halt(const char *complaint)
{
	u64 until = l4_counter() + HALT_SECONDS * boot_info->counter_hz;

	while (l4_counter() < until)
		;
	l4_die("root: error: %s", complaint);
}

void fail(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	l4_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("error: %s\n", text);
	end();
	halt("the machine does not power off");
}

void check(unsigned long error, const char *what)
{
	if (error)
		fail("%s: %s", what, l4_error_name(error));
}

u64 counter_nanoseconds(u64 counter)
{
	u64 hz = boot_info->counter_hz;

	return counter / hz * 1000000000UL + counter % hz * 1000000000UL / hz;
}
