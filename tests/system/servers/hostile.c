/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Linked into a server by --wrap: in each of its first HOSTILE_LIVES lives it makes one attack on the root pager and
 * the other servers when it is ready, from number HOSTILE_FIRST on. After those it is the server that it should be.
 */
#include <l4/invoke.h>
#include <base/lib.h>
#include <base/resource.h>
#include <base/server.h>
#include <l4/syscall.h>

#define FUZZ_STEPS 4000
#define SLOTS      16

static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

unsigned long __real_l4_server_ready(void);
unsigned long __wrap_l4_server_ready(void);

static u64 random_state;

static u64 random64(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static void message(unsigned long (*how)(unsigned long cap, struct l4_msg *msg), unsigned long label,
                    unsigned long words, unsigned long caps)
{
	struct l4_msg msg = { .tag = l4_tag(label, words, caps) };
	unsigned int i;

	for (i = 0; i < L4_MSG_REG_WORDS; i++)
		msg.words[i] = random64();
	for (i = 0; i < L4_MSG_CAPS; i++)
		l4_utcb->caps[i] = 1 + random64() % 5;
	how(L4_SERVER_SLOT_ROOT, &msg);
}

static unsigned long call(unsigned long cap, struct l4_msg *msg) { return l4_call(cap, msg); }

static unsigned long send(unsigned long cap, struct l4_msg *msg) { return l4_send(cap, msg); }

static unsigned long nb_send(unsigned long cap, struct l4_msg *msg) { return l4_nb_send(cap, msg); }

/* Calls where a message is expected: the root pager's Reply object must not stay in use. */
static void call_pong(void)
{
	for (;;)
		message(call, L4_ROOT_PONG, 1, 0);
}

static void flood(void)
{
	for (;;)
		message(nb_send, L4_ROOT_PONG, 1, 0);
}

static void unknown_label(void)
{
	for (;;)
		message(send, random64(), L4_MSG_WORDS, 0);
}

static void guests_requests(void)
{
	for (;;)
		message(call, L4_ROOT_POWER_OFF, 1, 0);
}

static void ready_again(void)
{
	for (;;)
		message(call, L4_ROOT_READY, 0, 0);
}

static void ready_with_error(void)
{
	for (;;)
		message(send, L4_ROOT_READY, 1, 0);
}

/* Takes the interrupt away from itself: its next life must have it. */
static void take_interrupt_away(void)
{
	unsigned long slot;

	l4_irq_handler_unbind(resource_first(info, L4_RESOURCE_INTERRUPT)->slot);
	for (slot = 1; slot < SLOTS; slot++)
		l4_irq_handler_bind(resource_first(info, L4_RESOURCE_INTERRUPT)->slot, slot);
	__builtin_trap();
}

/* Touches more pages than a server has memory for. */
static void touch_everything(void)
{
	volatile u8 *at = (volatile u8 *)(L4_SERVER_STACK_TOP - L4_SERVER_STACK_SIZE);

	for (; at < (volatile u8 *)L4_SERVER_STACK_TOP; at += L4_PAGE_SIZE)
		(void)*at;
	for (at = (volatile u8 *)0x400000;; at += L4_PAGE_SIZE)
		(void)*at;
}

/*
 * Answers pings and uses all its time. A console must not answer that all of the log is written (0), or lines would be
 * lost: that answer cannot be checked.
 */
static void take_time(void)
{
	unsigned long bits;

	for (;;)
		if (!l4_poll(L4_SERVER_SLOT_EVENT, &bits) && (bits & L4_SERVER_EVENT_PING))
			l4_server_pong(1);
}

/* The same, and interrupts the guest all the time. */
static void interrupt_guest(void)
{
	unsigned long bits;

	for (;;) {
		l4_signal(resource_first(info, L4_RESOURCE_QUEUES)->slot);
		if (!l4_poll(L4_SERVER_SLOT_EVENT, &bits) && (bits & L4_SERVER_EVENT_PING))
			l4_server_pong(1);
	}
}

/* Makes random system calls, but for those that would wait for ever. */
static void any_call(void)
{
	struct l4_msg msg = { .tag = random64() % 4 ? random64() % 64 : random64() };
	unsigned int i;

	for (i = 0; i < L4_MSG_REG_WORDS; i++)
		msg.words[i] = random64() % 2 ? random64() % SLOTS : random64();
	for (i = 0; i < L4_MSG_CAPS; i++)
		l4_utcb->caps[i] = random64() % SLOTS;
	l4_utcb->recv_slot = random64() % SLOTS;
	switch (random64() % 4) {
	case 0:
		l4_syscall(L4_SYS_SIGNAL, random64() % SLOTS, 0, &msg);
		break;
	case 1:
		l4_syscall(L4_SYS_POLL, random64() % SLOTS, 0, &msg);
		break;
	case 2:
		l4_syscall(L4_SYS_NB_RECV, random64() % SLOTS, random64() % SLOTS, &msg);
		break;
	default:
		l4_syscall(L4_SYS_INVOKE, random64() % SLOTS, 0, &msg);
	}
}

static void fuzz(void)
{
	unsigned int i;

	for (i = 0; i < FUZZ_STEPS; i++)
		any_call();
	for (;;)
		message(random64() % 2 ? call : nb_send, random64() % 8, random64() % (L4_MSG_WORDS + 2),
		        random64() % (L4_MSG_CAPS + 2));
}

static const struct {
	void (*make)(void);
	bool before_ready;
} attacks[] = {
	{ call_pong, false },
	{ flood, false },
	{ unknown_label, false },
	{ guests_requests, true },
	{ ready_again, false },
	{ ready_with_error, true },
	{ take_interrupt_away, false },
	{ touch_everything, false },
	{ fuzz, true },
	{ fuzz, false },
	{ take_time, false },
	{ interrupt_guest, false },
	{ take_time, true },
};
_Static_assert(sizeof(attacks) / sizeof(attacks[0]) == HOSTILE_ATTACKS, "each attack is made");

unsigned long __wrap_l4_server_ready(void)
{
	u64 number = HOSTILE_FIRST + info->restarts;
	bool hostile = info->restarts < HOSTILE_LIVES;
	unsigned long answer;

	random_state = 0x9e3779b97f4a7c15UL * (number + 1);
	if (hostile && attacks[number].before_ready)
		attacks[number].make();
	answer = __real_l4_server_ready();
	if (hostile)
		attacks[number].make();
	return answer;
}
