// SPDX-License-Identifier: GPL-2.0-only
/* The ring of the log, and the serial line. Calls the serial line only. See log.h. */
#include <abi_boot.h>
#include <stdarg.h>
#include <kernel/arch.h>
#include <kernel/cpu.h>
#include <kernel/debug.h>
#include <kernel/log.h>
#include <kernel/preempt.h>
#include <kernel/uart.h>

static struct {
	struct l4_log_header header;
	char pad[L4_LOG_TEXT_OFFSET - sizeof(struct l4_log_header)];
	char text[L4_LOG_TEXT_SIZE];
} log __aligned(L4_LOG_SIZE);
_Static_assert(sizeof(log) == L4_LOG_SIZE, "log size");

/* The beginning of a line of a guest. */
static struct {
	u32 length;
	char text[244];
} guest_line;

static bool has_reader;
static u32 panicking; /* a word: riscv64 exchanges no less */

/*
 * A serial line that takes nothing must not stop the kernel, so polls for it to be ready are bounded: for a message of
 * the kernel, and for a piece of a system call, which is repeated with interrupts enabled in between.
 */
#define PATIENCE      30000
#define PATIENCE_CALL 1000
#define REPEATS       100
static u32 patience = PATIENCE;

u64 log_paddr(void) { return arch_pa(&log); }

void log_set_reader(bool present) { has_reader = present; }
bool log_begin_panic(void) { return !__atomic_exchange_n(&panicking, 1, __ATOMIC_SEQ_CST); }
bool log_is_panicking(void) { return READ_ONCE(panicking); }

static bool console_ready(void)
{
	while (!uart_ready() && patience)
		patience--;
	return patience;
}

static void console_write(char c)
{
	if (panicking)
		patience = PATIENCE;
	if (c == '\n')
		console_write('\r');
	console_ready();
	uart_write(c);
}

/* One byte into the ring, and to the serial line unless the log has a reader. */
static void put(char c)
{
	log.text[log.header.head % L4_LOG_TEXT_SIZE] = c;
	WRITE_ONCE(log.header.head, log.header.head + 1);
	if (!has_reader || panicking)
		console_write(c);
}

/* The end of a message: trap_exit() signals the reader. */
static void announce(void)
{
	patience = PATIENCE;
	if (has_reader && !panicking) {
		this_cpu()->log_unread = true;
		this_cpu()->need_resched = true;
	}
}

/*
 * Text of a system call. Stops early when the serial line is slow or an interrupt waits: the caller repeats the rest.
 */
u64 log_write(const char *text, u64 size)
{
	static u32 repeats;
	u64 done = 0;

	while (done < size) {
		patience = PATIENCE_CALL;
		if (!has_reader && !console_ready() && ++repeats < REPEATS)
			break;
		repeats = 0;
		put(text[done++]);
		if (!has_reader && must_stop())
			break;
	}
	announce();
	return done;
}

static void put_string(const char *s)
{
	while (*s)
		put(*s++);
}

static void put_guest_line(void)
{
	put_string("guest: ");
	for (u32 i = 0; i < guest_line.length; i++)
		put(guest_line.text[i]);
	put('\n');
	guest_line.length = 0;
}

/* Neither the control characters of ASCII nor, as UTF-8 or alone, those from 0x80 on. */
static char guest_char(char c) { return c == '\t' || (c >= ' ' && c <= '~') ? c : '?'; }

/*
 * Readers of the log trust lines of the kernel and the root pager, so every line of a guest gets a prefix.
 * Its text comes in pieces, between which the console server may end a line: lines are assembled here.
 */
u64 log_write_guest(const char *text, u64 size)
{
	for (u64 i = 0; i < size; i++) {
		if (text[i] == '\n' || guest_line.length == sizeof(guest_line.text))
			put_guest_line();
		if (text[i] != '\n')
			guest_line.text[guest_line.length++] = guest_char(text[i]);
	}
	announce();
	return size;
}

static void put_number(u64 v, u32 base, u32 width, bool minus)
{
	char digits[24];
	u32 n = 0;

	do
		digits[n++] = "0123456789abcdef"[v % base];
	while (v /= base);
	while (n < width)
		digits[n++] = '0';
	if (minus)
		put('-');
	while (n)
		put(digits[--n]);
}

/* Format and write a message. Understands what printk() names. */
void vprintk(const char *fmt, va_list args)
{
	for (; *fmt; fmt++) {
		bool is_long = false;

		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		if (*++fmt == 'l') {
			is_long = true;
			fmt++;
		}
		switch (*fmt) {
		case 's':
			put_string(va_arg(args, const char *));
			break;
		case 'c':
			put(va_arg(args, int));
			break;
		case 'd': {
			long v = is_long ? va_arg(args, long) : va_arg(args, int);

			put_number(v < 0 ? -(u64)v : (u64)v, 10, 0, v < 0);
			break;
		}
		case 'u':
			put_number(is_long ? va_arg(args, u64) : va_arg(args, u32), 10, 0, false);
			break;
		case 'x':
			put_number(is_long ? va_arg(args, u64) : va_arg(args, u32), 16, 0, false);
			break;
		case 'p':
			put_number((u64)va_arg(args, void *), 16, 16, false);
			break;
		default:
			put(*fmt);
		}
	}
}

void printk(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintk(fmt, args);
	va_end(args);
	announce();
}
