/* SPDX-License-Identifier: BSD-2-Clause */
/* Print to the kernel's log, line by line. */
#include <l4/invoke.h>
#include <base/lib.h>

static char line[256];
static size_t line_bytes;

void l4_flush(void)
{
	size_t at, part;

	for (at = 0; at < line_bytes; at += part) {
		part = line_bytes - at < 48 ? line_bytes - at : 48;
		l4_debug_write(line + at, part);
	}
	line_bytes = 0;
}

void l4_write(const char *text, size_t bytes)
{
	while (bytes--) {
		line[line_bytes++] = *text;
		if (*text++ == '\n' || line_bytes == sizeof(line))
			l4_flush();
	}
}

static void vprint(const char *format, va_list args)
{
	char text[640];
	size_t length = (size_t)l4_vsnprintf(text, sizeof(text), format, args);

	l4_write(text, length < sizeof(text) ? length : sizeof(text) - 1);
}

void l4_printf(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
}

void l4_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vprint(format, args);
	va_end(args);
	l4_write("\n", 1);
	for (;;)
		__builtin_trap();
}
