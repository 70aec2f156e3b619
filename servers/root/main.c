/* SPDX-License-Identifier: GPL-2.0-only */
/* The root pager: sets everything up, then answers faults and requests for ever. */
#include <abi_hash.h>
#include <abi_boot.h>
#include <base/lib.h>
#include <l4/invoke.h>
#include <platform/platform.h>

#include "calls.h"
#include "device_memory.h"
#include "guest.h"
#include "handover.h"
#include "image.h"
#include "log.h"
#include "memory.h"
#include "messages.h"
#include "report.h"
#include "requests.h"
#include "supervisor.h"

static struct guest guests[SYSTEM_GUESTS];
static unsigned long reply;
static bool guests_run;

static void start_guests(void)
{
	unsigned int i;
	u64 ram = 0;

	guests_run = true;
	say("linux started\n");
	for (i = 0; i < SYSTEM_GUESTS; i++)
		ram += guests[i].memory.bytes;
	memory_report(ram);
	for (i = 0; i < SYSTEM_GUESTS; i++)
		guest_start(&guests[i]);
}

static void serve_message(const struct l4_msg *msg)
{
	unsigned int who = msg->badge & BADGE_NUMBER, i;
	u64 word;

	if (msg->badge & BADGE_TICK) {
		platform_tick();
		supervisor_tick();
		for (i = 0; i < SYSTEM_GUESTS; i++)
			vcpus_place(&guests[i].vcpus);
	} else if (msg->badge & BADGE_SERVER_CALL) {
		if (supervisor_call(who, msg, &word))
			messages_answer(reply, 0, word);
	} else if (msg->badge & BADGE_SERVER_FAULT) {
		if (supervisor_fault(who, msg))
			messages_answer(reply, 0, 0);
	} else if (msg->badge & BADGE_GUEST_CALL) {
		if (guest_call(&guests[who], (msg->badge & BADGE_VCPU) >> BADGE_VCPU_SHIFT, msg, &word))
			messages_answer(reply, 0, word);
	} else if (msg->badge & BADGE_OWN_FAULT) {
		fail("the thread for guests' calls faults at %lx", msg->words[2]);
	} else {
		guest_fault(&guests[who], msg);
	}
}

static void serve(void)
{
	struct l4_msg msg;

	for (;;) {
		check(messages_receive(reply, &msg), "receive");
		serve_message(&msg);
		/* Who called and has no answer yet gets an error: the Reply object must be free for the next. */
		messages_answer(reply, 0, L4_ERR_ARG);
		if (!guests_run && supervisor_settled())
			start_guests();
	}
}

static void create_system(void)
{
	const struct l4_system_server *server;
	unsigned int i;

	for (i = 0; (server = system_server(i)); i++)
		supervisor_add(server, &guests[server->guest].memory, guests[server->guest].vcpus.vcpu[0].notification);
	supervisor_set_clock(platform_tick_start(messages_tick()));
	supervisor_start();
	for (i = 0; i < SYSTEM_GUESTS; i++)
		guest_create(&guests[i]);
	for (i = 0; (server = system_server(i)); i++)
		vcpus_connect(&guests[server->guest].vcpus, server->front, supervisor_kick(i));
}

int l4_main(void *info)
{
	unsigned int i;

	report_init(info, power_off_on_error);
	say("started\n");
	if (boot_info->magic != L4_BOOT_MAGIC || boot_info->abi_hash != L4_ABI_HASH)
		fail("kernel has another ABI (%lx, not %lx)", boot_info->abi_hash, L4_ABI_HASH);
	memory_init();
	device_memory_init();
	image_init();
	system_init();
	for (i = 0; i < SYSTEM_GUESTS; i++)
		guest_init(&guests[i], &system_guest[i], i, image_guest_ram());
	messages_init();
	calls_init(BADGE_OWN_FAULT);
	reply = object_alloc(L4_TYPE_REPLY, 0, 1);
	handover_init();
	platform_init();
	log_init();
	system_announce();
	create_system();
	serve();
	return 0;
}
