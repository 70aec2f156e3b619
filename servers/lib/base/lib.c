/* SPDX-License-Identifier: BSD-2-Clause */
/* The small C library of programs on L4, and their first C function. */
#include <l4/invoke.h>
#include <base/lib.h>

struct l4_utcb *l4_utcb;

static char line[256];
static size_t line_bytes;

void *memcpy(void *to, const void *from, size_t bytes)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (((unsigned long)t | (unsigned long)f) % 8 == 0)
		for (; bytes >= 8; bytes -= 8, t += 8, f += 8)
			*(u64 *)t = *(const u64 *)f;
	while (bytes--)
		*t++ = *f++;
	return to;
}

void *memmove(void *to, const void *from, size_t bytes)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if (t <= f || t >= f + bytes)
		return memcpy(to, from, bytes);
	while (bytes--)
		t[bytes] = f[bytes];
	return to;
}

void *memset(void *to, int value, size_t bytes)
{
	unsigned char *t = to;

	while (bytes--)
		*t++ = (unsigned char)value;
	return to;
}

int memcmp(const void *a, const void *b, size_t bytes)
{
	const unsigned char *x = a, *y = b;

	for (; bytes--; x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

size_t strlen(const char *text)
{
	size_t n = 0;

	while (text[n])
		n++;
	return n;
}

int strncmp(const char *a, const char *b, size_t limit)
{
	for (; limit--; a++, b++)
		if (*a != *b || !*a)
			return (unsigned char)*a - (unsigned char)*b;
	return 0;
}

struct out {
	char *to;
	size_t size, length;
};

static void put(struct out *out, char c)
{
	if (out->length + 1 < out->size)
		out->to[out->length] = c;
	out->length++;
}

static void put_padded(struct out *out, const char *text, size_t bytes, size_t width, char pad, bool left)
{
	size_t fill = width > bytes ? width - bytes : 0;

	for (; fill && !left; fill--)
		put(out, pad);
	while (bytes--)
		put(out, *text++);
	for (; fill; fill--)
		put(out, ' ');
}

static size_t format_number(char *end, unsigned long value, unsigned int base, bool negative)
{
	char *p = end;

	do
		*--p = "0123456789abcdef"[value % base];
	while (value /= base);
	if (negative)
		*--p = '-';
	return (size_t)(end - p);
}

int l4_vsnprintf(char *to, size_t size, const char *format, va_list args)
{
	struct out out = { to, size, 0 };
	char digits[24], *end = digits + sizeof(digits);

	for (; *format; format++) {
		bool left = false, wide = false;
		size_t width = 0, precision = ~0UL, bytes;
		char pad = ' ';
		const char *text;
		long number;

		if (*format != '%') {
			put(&out, *format);
			continue;
		}
		for (format++; *format == '-' || *format == '0'; format++) {
			left |= *format == '-';
			pad = *format == '0' ? '0' : pad;
		}
		for (; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + (size_t)(*format - '0');
		if (*format == '.') {
			format++;
			if (*format == '*') {
				precision = (size_t)va_arg(args, int);
				format++;
			} else {
				for (precision = 0; *format >= '0' && *format <= '9'; format++)
					precision = precision * 10 + (size_t)(*format - '0');
			}
		}
		for (; *format == 'l' || *format == 'z'; format++)
			wide = true;
		switch (*format) {
		case 'd':
		case 'i':
			number = wide ? va_arg(args, long) : va_arg(args, int);
			bytes = format_number(end, number < 0 ? -(unsigned long)number : (unsigned long)number, 10,
			                      number < 0);
			put_padded(&out, end - bytes, bytes, width, pad, left);
			break;
		case 'u':
		case 'x':
			bytes = format_number(end, wide ? va_arg(args, unsigned long) : va_arg(args, unsigned int),
			                      *format == 'u' ? 10 : 16, false);
			put_padded(&out, end - bytes, bytes, width, pad, left);
			break;
		case 'p':
			bytes = format_number(end, (unsigned long)va_arg(args, void *), 16, false);
			put_padded(&out, end - bytes, bytes, width, pad, left);
			break;
		case 's':
			text = va_arg(args, const char *);
			for (bytes = 0; bytes < precision && text[bytes]; bytes++)
				;
			put_padded(&out, text, bytes, width, ' ', left);
			break;
		case 'c':
			put(&out, (char)va_arg(args, int));
			break;
		case 0:
			format--;
			break;
		default:
			put(&out, *format);
		}
	}
	if (size)
		to[out.length < size ? out.length : size - 1] = 0;
	return (int)out.length;
}

int l4_snprintf(char *to, size_t size, const char *format, ...)
{
	va_list args;
	int length;

	va_start(args, format);
	length = l4_vsnprintf(to, size, format, args);
	va_end(args);
	return length;
}

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

void l4_start(void *info, struct l4_utcb *utcb)
{
	l4_utcb = utcb;
	l4_main(info);
	l4_die("main returned");
}
