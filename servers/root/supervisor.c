/* SPDX-License-Identifier: GPL-2.0-only */
/* The lives of all servers. */
#include <abi_servers.h>
#include <base/lib.h>
#include <l4/invoke.h>

#include "log.h"
#include "report.h"
#include "supervisor.h"

#define PINGS          2 /* unanswered, after which a server counts as dead */
#define PINGS_OUT      2 /* that a server may have to answer: one that it has taken, one that waits */
#define FULL_TENTHS    5 /* of the time: with more, a server that never waits for FULL_TICKS counts as dead */
#define FULL_TICKS     4
#define SILENT         15 /* ticks in which no server of a CPU answers, after which all count as dead */
#define CPUS           16 /* of the machine, at most */
#define DEATHS         6  /* of a server that was never ready, after which guests start without it */
#define STEADY_SECONDS 2  /* of life, after which the deaths before no longer count */
#define AT_ONCE        2  /* deaths in a row after which a server is started again without a pause */
#define PAUSE_BITS     6  /* log2 of the longest pause, in ticks */

/* A server, and what is remembered of its lives. */
struct watch {
	struct server server;
	u64 deaths;              /* in a row */
	unsigned int pings;      /* that it has still to answer */
	unsigned int unanswered; /* ticks */
	unsigned int pause;      /* ticks until it is started again; 0: it runs */
	bool ever_ready;
	bool given_up; /* guests do not wait for it; it is started again all the same */
};

/* The servers of one CPU, which have its time in turn. */
struct turn {
	u64 used;            /* by all, since the last tick */
	struct watch *first; /* that used most and did not wait once; NULL: none */
	bool heard;          /* one has answered the last ping */
	bool is_full;        /* they used nearly all of the time, so that one of them may have had none */
	unsigned int silent; /* ticks in a row in which none was heard */
	unsigned int full;   /* ticks in a row that were full, with the same to blame or another */
};

static struct watch watches[SYSTEM_SERVERS];
static struct turn turns[CPUS];
static unsigned int count;
static bool have_clock;

void supervisor_add(const struct l4_system_server *system, const struct guest_memory *guest_memory,
                    unsigned long guest_notification)
{
	if (count == SYSTEM_SERVERS)
		fail("the system has more than %u servers", SYSTEM_SERVERS);
	server_init(&watches[count].server, system, count, guest_memory, guest_notification);
	count++;
}

static struct turn *turn_of(const struct server *server) { return &turns[server->cpu % CPUS]; }

static void start(struct watch *watch)
{
	watch->pings = watch->unanswered = watch->pause = 0;
	server_start(&watch->server);
}

void supervisor_start(void)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		start(&watches[i]);
}

void supervisor_set_clock(bool there_is_one) { have_clock = there_is_one; }

unsigned long supervisor_kick(unsigned int i) { return watches[i].server.kick; }

/* End a life and begin the next: at once, or after a pause that doubles with each death in a row. */
static void died(struct watch *watch, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void died(struct watch *watch, const char *format, ...)
{
	struct server *server = &watch->server;
	unsigned int pause;
	char reason[160];
	va_list args;

	va_start(args, format);
	l4_vsnprintf(reason, sizeof(reason), format, args);
	va_end(args);
	say("server %s died: %s\n", server->name, reason);
	server_end(server);
	if ((l4_counter() - server->started_at) / boot_info->counter_hz >= STEADY_SECONDS)
		watch->deaths = 0;
	watch->deaths++;
	if (watch->deaths >= DEATHS && !watch->ever_ready && !watch->given_up) {
		say("server %s does not stay alive: linux starts without it\n", server->name);
		watch->given_up = true;
	}
	if (watch->deaths <= AT_ONCE || !have_clock) {
		start(watch);
		return;
	}
	pause = (unsigned int)watch->deaths - AT_ONCE - 1;
	watch->pause = 1U << (pause < PAUSE_BITS ? pause : PAUSE_BITS);
	say("server %s waits: %lu deaths in a row, next try in %u s\n", server->name, watch->deaths, watch->pause);
}

/* Returns the answer: where in the log the server goes on. */
static u64 ready(struct watch *watch)
{
	struct server *server = &watch->server;

	say("%s ready\n", server->name);
	if ((server->system->flags & L4_SYSTEM_WRITES_LOG) && !log_is_bound()) {
		log_bind(server->log_event);
		/* From the bind on, the server writes the log out; nothing has been written since. */
		server->log_position = log_position();
	}
	server->ready = watch->ever_ready = true;
	return server->log_position;
}

/*
 * A server sends READY once in its life, and one PONG for each ping. Any other message ends it, so that it costs the
 * root pager one message a life, however many it would send.
 */
bool supervisor_call(unsigned int i, const struct l4_msg *msg, u64 *word)
{
	unsigned long label = l4_tag_label(msg->tag);
	struct watch *watch = &watches[i];
	struct server *server = &watch->server;

	if (label == L4_ROOT_READY && !server->ready) {
		if (!msg->words[0]) {
			*word = ready(watch);
			return true;
		}
		died(watch, "it reports %s", l4_error_name(msg->words[0]));
	} else if (label == L4_ROOT_PONG && watch->pings) {
		watch->pings--;
		watch->unanswered = 0;
		/* A server without anything left has written the log so far. */
		if (!msg->words[0])
			server->log_position = log_position();
	} else {
		died(watch, "sends a message of label %lu, which is not due", label);
	}
	return false;
}

bool supervisor_fault(unsigned int i, const struct l4_msg *msg)
{
	u64 address = msg->words[0], access = msg->words[1], ip = msg->words[2];
	struct watch *watch = &watches[i];

	if (l4_tag_label(msg->tag) != L4_FAULT_PAGE)
		died(watch, "exception %lu (%lx) at %lx", address, access, ip);
	else if (msg->words[3] || !server_may_access(&watch->server, address, access))
		died(watch, "access %lx to %lx at %lx", access, address, ip);
	else if (!server_page_in(&watch->server, address))
		died(watch, "no memory left for its page at %lx", address & ~(L4_PAGE_SIZE - 1UL));
	else
		return true;
	return false;
}

/* Begin a tick: where each server runs by now, the time that it used, and whether its CPU has been heard. */
static void look(void)
{
	unsigned int i;

	for (i = 0; i < CPUS; i++) {
		turns[i].used = 0;
		turns[i].first = NULL;
		turns[i].heard = false;
	}
	for (i = 0; i < count; i++) {
		struct server *server = &watches[i].server;
		struct turn *turn = turn_of(server);
		bool waited;

		turn->heard |= server->ready && !watches[i].unanswered;
		server->used_of_tick = 0;
		if (watches[i].pause)
			continue;
		waited = server_measure(server);
		turn->used += server->used_of_tick;
		if (!waited && (!turn->first || server->used_of_tick > turn->first->server.used_of_tick))
			turn->first = &watches[i];
	}
}

/*
 * End a server that takes the others' time. One with much to do waits for guest and device thousands of times a second;
 * one that uses most of the time and never waits is faulty, whatever it answers.
 */
static void find_hog(struct turn *turn, u64 passed)
{
	turn->is_full = turn->used > passed / 10 * FULL_TENTHS;
	turn->full = turn->is_full && turn->first ? turn->full + 1 : 0;
	if (turn->full < FULL_TICKS)
		return;
	turn->full = 0;
	died(turn->first, "takes the time of all and never waits");
}

static void ping(struct watch *watch)
{
	if (watch->pings < PINGS_OUT)
		watch->pings++;
	l4_signal(watch->server.ping);
}

/* held: a ping that was not answered is held against the server. */
static void tick(struct watch *watch, bool held)
{
	if (watch->pause) {
		if (!--watch->pause)
			start(watch);
		return;
	}
	if (held && watch->unanswered > PINGS) {
		died(watch, "does not answer");
		return;
	}
	if (held || !watch->unanswered)
		watch->unanswered++;
	ping(watch);
}

/* Where the description says by now. */
static void place(struct watch *watch)
{
	unsigned long cpu = system_server_cpu(watch->server.system);

	if (watch->server.cpu == cpu)
		return;
	say("server %s goes from CPU %lu to CPU %lu\n", watch->server.name, watch->server.cpu, cpu);
	server_move(&watch->server, cpu, !watch->pause);
}

/*
 * Servers of one CPU take turns: while one hangs, the others answer. When none of a CPU answers, it is rather the machine
 * that has had no time for it (an emulator on a busy host); that counts too, but later. A server that got no time, since
 * others took all, cannot have answered.
 */
static bool counts(const struct server *server)
{
	const struct turn *turn = turn_of(server);

	return (turn->heard || turn->silent > SILENT) && !(turn->is_full && !server->used_of_tick);
}

void supervisor_tick(void)
{
	static u64 last;
	u64 now = l4_counter(), passed = now - last;
	unsigned int i;

	last = now;
	for (i = 0; i < count; i++)
		place(&watches[i]);
	look();
	for (i = 0; i < CPUS; i++) {
		turns[i].silent = turns[i].heard ? 0 : turns[i].silent + 1;
		find_hog(&turns[i], passed);
	}
	for (i = 0; i < count; i++)
		tick(&watches[i], counts(&watches[i].server));
}

bool supervisor_settled(void)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if (!watches[i].server.ready && !watches[i].given_up)
			return false;
	return true;
}

int supervisor_log_writer(void)
{
	unsigned int i;

	for (i = 0; i < count; i++)
		if ((watches[i].server.system->flags & L4_SYSTEM_WRITES_LOG) && watches[i].server.ready)
			return (int)i;
	return -1;
}

void supervisor_ping(unsigned int i) { l4_signal(watches[i].server.ping); }

void supervisor_stop_all_but(unsigned int i)
{
	unsigned int other;

	for (other = 0; other < count; other++)
		if (other != i && watches[other].server.thread && !watches[other].pause)
			l4_thread_suspend(watches[other].server.thread);
}
