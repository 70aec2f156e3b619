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

const char *l4_error_name(unsigned long error)
{
	static const char *const names[] = {
		[L4_ERR_OK] = "OK",
		[L4_ERR_SYSCALL] = "SYSCALL",
		[L4_ERR_CAP] = "CAP",
		[L4_ERR_TYPE] = "TYPE",
		[L4_ERR_OP] = "OP",
		[L4_ERR_RIGHTS] = "RIGHTS",
		[L4_ERR_ARG] = "ARG",
		[L4_ERR_RANGE] = "RANGE",
		[L4_ERR_ALIGN] = "ALIGN",
		[L4_ERR_MEMORY] = "MEMORY",
		[L4_ERR_OCCUPIED] = "OCCUPIED",
		[L4_ERR_MAPPED] = "MAPPED",
		[L4_ERR_UNMAPPED] = "UNMAPPED",
		[L4_ERR_BUSY] = "BUSY",
		[L4_ERR_UNBOUND] = "UNBOUND",
		[L4_ERR_AGAIN] = "AGAIN",
		[L4_ERR_CANCELLED] = "CANCELLED",
		[L4_ERR_STATE] = "STATE",
		[L4_ERR_PRIORITY] = "PRIORITY",
	};

	return error < sizeof(names) / sizeof(names[0]) ? names[error] : "?";
}
