/* SPDX-License-Identifier: BSD-2-Clause */
/* Format text as printf does. */
#include <base/lib.h>

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
