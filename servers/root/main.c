/* SPDX-License-Identifier: GPL-2.0-only */
/* The root pager: sets everything up, then answers faults and requests for ever. */
#include "../platform/platform.h"
#include "root.h"

#define STATUS_ERROR 1
#define STATUS_PANIC 2
#define DRAIN_TICKS  5
#define HALT_SECONDS 2

const struct l4_boot_info *boot_info;
unsigned long root_endpoint, tick_notification;

/* Two Reply objects: whoever asks to power off still waits in the first while the log drains. */
static unsigned long reply, drain_reply;
static bool log_bound, guest_running;
static char last_line[600];

/* Whoever only sent a message, or was ended, waits for no answer: then this does nothing. */
static void answer_through(unsigned long to, unsigned long label, unsigned long word)
{
	struct l4_msg msg = { .tag = l4_tag(label, 1, 0), .words = { word } };

	l4_send(to, &msg);
}

static void answer(unsigned long word) { answer_through(reply, 0, word); }

/*
 * Let the console write what is in the log; it may be dead or hang, so only for a few ticks. The other servers stand
 * still meanwhile, so that none of them keeps it from the CPU.
 */
static bool drain_console(void)
{
	struct server *console = &servers[L4_DEVICE_CONSOLE];
	unsigned int ticks = 0;
	struct l4_msg msg;

	if (!console->ready)
		return false;
	servers_stop_all_but(console);
	l4_signal(console->ping);
	while (ticks < DRAIN_TICKS) {
		msg = (struct l4_msg){ 0 };
		if (l4_recv(root_endpoint, drain_reply, &msg) != L4_ERR_OK)
			return false;
		if (msg.badge & BADGE_TICK) {
			plat_tick();
			l4_signal(console->ping);
			ticks++;
		} else if (msg.badge == (BADGE_FAULT | L4_DEVICE_CONSOLE)) {
			if (!server_fault(console, &msg))
				return false;
			answer_through(drain_reply, 0, 0);
		} else if (msg.badge == (BADGE_CALL | L4_DEVICE_CONSOLE) && l4_tag_label(msg.tag) == L4_ROOT_PONG) {
			if (!msg.words[0])
				return true;
		}
		/* A label other than 0 leaves a thread that faulted where it is. */
		answer_through(drain_reply, 1, L4_ERR_STATE);
	}
	return false;
}

/* The wire is the kernel's again. What could not be drained is said once more, at least the last of it. */
static void give_back_log(void)
{
	bool drained = !log_bound || drain_console();

	l4_control_log_bind(L4_ROOT_SLOT_CONTROL, 0);
	if (!drained)
		l4_printf("\001L\001L\nroot: %s", last_line);
}

/* It may take the machine a moment. */
static void __attribute__((noreturn)) halt(const char *complaint)
{
	u64 end = l4_counter() + HALT_SECONDS * boot_info->counter_hz;

	while (l4_counter() < end)
		;
	l4_die("root: error: %s", complaint);
}

static void __attribute__((noreturn)) power_off(unsigned long status)
{
	give_back_log();
	l4_control_power_off(L4_ROOT_SLOT_CONTROL, status);
	halt("the machine does not power off");
}

void say(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	l4_vsnprintf(last_line, sizeof(last_line), format, args);
	va_end(args);
	l4_printf("%sroot: %s", server_log_line_open() ? "\n" : "", last_line);
}

void fail(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	l4_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	say("error: %s\n", text);
	power_off(STATUS_ERROR);
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

static void server_ready(struct server *server, unsigned long error)
{
	if (error) {
		server_died(server, "it reports %s", l4_error_name(error));
		return;
	}
	say("%s ready\n", server->name);
	if (server->number == L4_DEVICE_CONSOLE && !log_bound) {
		server_bind_log();
		log_bound = true;
		/* From the bind on, the log is the console's; nothing has been written since. */
		server->log_position = server_log_position();
	}
	server->ready = server->ever_ready = true;
	answer(server->log_position);
}

/* Once each server is there, or has shown that it will not be. */
static void start_guest(void)
{
	unsigned int i;

	for (i = 0; i < L4_DEVICES; i++)
		if (!servers[i].ready && !servers[i].given_up)
			return;
	guest_running = true;
	say("linux started\n");
	memory_report();
	guest_start();
}

/*
 * READY once in its life, and one PONG for each ping. Anything else is the end of it, so it costs us one message a
 * life, however many it would send.
 */
static void server_call(struct server *server, const struct l4_msg *msg)
{
	unsigned long label = l4_tag_label(msg->tag);

	if (label == L4_ROOT_READY && !server->ready) {
		server_ready(server, msg->words[0]);
	} else if (label == L4_ROOT_PONG && server->pings) {
		server->pings--;
		server->unanswered = 0;
		/* A console without anything left has written the log so far. */
		if (!msg->words[0])
			server->log_position = server_log_position();
	} else {
		server_died(server, "sends a message of label %lu, which is not due", label);
	}
}

/* A message's words as text: what does not print is a space, what hangs over is cut. */
static void panic_text(const struct l4_msg *msg, char *text, unsigned int size)
{
	unsigned long bytes = l4_tag_words(msg->tag) * 8, word = 0, i;

	for (i = 0; i < bytes && i + 1 < size && i < L4_MSG_WORDS * 8; i++) {
		if (i % 8 == 0)
			word = i / 8 < L4_MSG_REG_WORDS ? msg->words[i / 8] : l4_utcb->mr[i / 8];
		text[i] = (char)(word >> 8 * (i % 8));
		if (!text[i])
			break;
		if (text[i] < ' ' || text[i] > '~')
			text[i] = ' ';
	}
	while (i && text[i - 1] == ' ')
		i--;
	text[i] = 0;
}

static void guest_call(const struct l4_msg *msg)
{
	char text[L4_MSG_WORDS * 8 + 1];

	switch (l4_tag_label(msg->tag)) {
	case L4_ROOT_POWER_OFF:
		say("guest powers off, status %lu\n", msg->words[0]);
		power_off(msg->words[0]);
	case L4_ROOT_RESTART:
		say("guest restarts\n");
		give_back_log();
		l4_control_restart(L4_ROOT_SLOT_CONTROL);
		halt("the machine does not restart");
	case L4_ROOT_PANIC:
		panic_text(msg, text, sizeof(text));
		say("guest panic: %s\n", text);
		power_off(STATUS_PANIC);
	default: /* an error, from serve() */
		break;
	}
}

static void __attribute__((noreturn)) guest_fault(const struct l4_msg *msg)
{
	static const char *const names[] = { "?", "page fault", "exception",
	                                     "fault without an upcall entry that works" };
	unsigned long label = l4_tag_label(msg->tag);

	say("guest fault: %s, %lx %lx %lx %lx\n", names[label < 4 ? label : 0], msg->words[0], msg->words[1],
	    msg->words[2], msg->words[3]);
	say("guest panic: %s at %lx\n", names[label < 4 ? label : 0], msg->words[2]);
	power_off(STATUS_PANIC);
}

static void serve(void)
{
	for (;;) {
		struct l4_msg msg = { 0 };
		unsigned long who;

		check(l4_recv(root_endpoint, reply, &msg), "receive");
		who = msg.badge & 0xff;
		if (msg.badge & BADGE_TICK) {
			plat_tick();
			servers_tick();
		} else if (msg.badge & BADGE_FAULT) {
			if (who >= L4_DEVICES)
				guest_fault(&msg);
			if (server_fault(&servers[who], &msg))
				answer(0);
		} else if (who < L4_DEVICES) {
			server_call(&servers[who], &msg);
		} else {
			guest_call(&msg);
		}
		/* Whoever called and has no answer yet: nobody occupies the Reply object when we receive. */
		answer(L4_ERR_ARG);
		if (!guest_running)
			start_guest();
	}
}

int l4_main(void *info)
{
	boot_info = info;
	say("started\n");
	if (boot_info->magic != L4_BOOT_MAGIC || boot_info->abi_hash != L4_ABI_HASH)
		fail("kernel has another ABI (%lx, not %lx)", boot_info->abi_hash, L4_ABI_HASH);
	memory_init();
	image_init();
	guest_memory_alloc(image_guest_ram());
	root_endpoint = object_alloc(L4_TYPE_ENDPOINT, 0, 1);
	reply = object_alloc(L4_TYPE_REPLY, 0, 1);
	drain_reply = object_alloc(L4_TYPE_REPLY, 0, 1);
	tick_notification = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
	check(l4_thread_bind_notification(L4_ROOT_SLOT_THREAD, tick_notification), "own Notification");
	plat_init();
	servers_init();
	guest_create();
	serve();
	return 0;
}
