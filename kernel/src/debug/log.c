// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's log: a ring that the console server reads, and the board's console until somebody has taken
 * over the log (CONTROL.LOG_BIND), and again in a panic.
 */
#include <abi_names.h>
#include <stdarg.h>
#include <kernel/arch.h>
#include <kernel/boot.h>
#include <kernel/debug.h>
#include <kernel/irq.h>
#include <kernel/vspace.h>

static struct {
	struct l4_log_header header;
	char pad[L4_LOG_TEXT_OFFSET - sizeof(struct l4_log_header)];
	char text[L4_LOG_TEXT_SIZE];
} log __attribute__((aligned(L4_LOG_SIZE)));
_Static_assert(sizeof(log) == L4_LOG_SIZE, "log size");

/* The beginning of a line of a guest. */
static struct {
	u32 length;
	char text[244];
} guest_line;

static struct slot reader; /* held: the reader's Notification */
static bool panicking;

/*
 * A console that takes nothing must not stop the kernel. So many looks whether it is ready are left: for a message of
 * the kernel's, and for a piece of a system call, which is repeated with interrupts on in between.
 */
#define PATIENCE      30000
#define PATIENCE_CALL 1000
#define REPEATS       100
static u32 patience = PATIENCE;

u64 log_paddr(void) { return arch_pa(&log); }

void log_bind(struct slot *notification)
{
	slot_drop(&reader);
	if (notification)
		slot_hold(&reader, notification, HELD_LOG);
}

/* The slot is empty: from now on the log goes to the board's console again. */
void log_lost(void) {}

static bool console_ready(void)
{
	while (!plat_console_ready() && patience)
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
	plat_console_write(c);
}

static void put(char c)
{
	log.text[log.header.head % L4_LOG_TEXT_SIZE] = c;
	WRITE_ONCE(log.header.head, log.header.head + 1);
	if (!reader.type || panicking)
		console_write(c);
}

static void announce(void)
{
	patience = PATIENCE;
	if (reader.type && !panicking)
		notification_signal(SLOT_OBJECT(&reader, notification), reader.badge ? reader.badge : 1);
}

u64 log_write(const char *text, u64 size)
{
	static u32 repeats;
	u64 done = 0;

	while (done < size) {
		patience = PATIENCE_CALL;
		if (!reader.type && !console_ready() && ++repeats < REPEATS)
			break;
		repeats = 0;
		put(text[done++]);
		if (!reader.type && arch_interrupt_pending())
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

/*
 * Whoever reads the log believes lines of the kernel and the root pager, so no line of a guest may begin as theirs do.
 * Its text comes in pieces, between which the console server may end a line: whole lines are put together here.
 */
u64 log_write_guest(const char *text, u64 size)
{
	for (u64 i = 0; i < size; i++) {
		if (text[i] == '\n' || guest_line.length == sizeof(guest_line.text))
			put_guest_line();
		if (text[i] != '\n')
			guest_line.text[guest_line.length++] = text[i] < ' ' && text[i] != '\t' ? '?' : text[i];
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

static void vprint(const char *fmt, va_list args)
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
	vprint(fmt, args);
	va_end(args);
	announce();
}

static const char *const states[] = { "stopped", "run", "send", "recv", "reply", "wait", "vcpu-wait" };

static void dump_thread(struct thread *t)
{
	printk("l4:   thread %p priority %d %s%s ip %p sp %p\n", t, t->priority, states[t->state],
	       t->in_guest_user ? " in guest user" : "", (void *)l4_frame_ip(thread_frame(t)),
	       (void *)l4_frame_sp(thread_frame(t)));
}

/* Capabilities of the current thread, a line for each run of one type. */
static void dump_caps(struct cnode *c)
{
	u64 first = 1;

	for (u64 i = 1; i <= c->slots_mask + 1; i++) {
		struct slot *a = (struct slot *)c + first;

		if (i <= c->slots_mask && ((struct slot *)c + i)->type == a->type)
			continue;
		if (a->type)
			printk("l4:   slots %lu-%lu: %s, first %lx rights %x badge %lx\n", first, i - 1,
			       l4_object_type_name(a->type), a->object, a->rights, a->badge);
		first = i;
	}
}

/* Every thread is derived from one of the root pager's Untypeds, which are where the kernel put them. */
static void dump_threads(struct cnode *root)
{
	u64 last = 0;

	for (u64 i = 1; root && i <= root->slots_mask; i++) {
		struct slot *u = cnode_slot(root, i), *s = u->next;

		if (u->type == L4_TYPE_THREAD && !u->depth)
			dump_thread(SLOT_OBJECT(u, thread));
		for (; u->type == L4_TYPE_UNTYPED && !u->depth && s && s->depth; s = s->next) {
			if (s->type != L4_TYPE_THREAD || s->object == last)
				continue;
			last = s->object;
			dump_thread(SLOT_OBJECT(s, thread));
		}
	}
}

void panic(const char *fmt, ...)
{
	struct cpu *cpu = this_cpu();
	va_list args;

	if (panicking)
		arch_halt();
	panicking = true;
	/* The wire may be the guest's, also behind the first byte of a pair: see servers/console. */
	printk("\001L\001L\nl4: PANIC: ");
	va_start(args, fmt);
	vprint(fmt, args);
	va_end(args);
	printk("\nl4: called from %p\n", __builtin_return_address(0));
	if (cpu && cpu->current && cpu->current != &cpu->idle) {
		printk("l4: current:\n");
		dump_thread(cpu->current);
		arch_dump_frame(thread_frame(cpu->current));
		if (cpu->current->cnode) {
			printk("l4: its capabilities:\n");
			dump_caps(cpu->current->cnode);
		}
	}
	printk("l4: threads:\n");
	dump_threads(boot_root_cnode());
	printk("l4: end of panic\n");
	arch_halt();
}
