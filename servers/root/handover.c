/* SPDX-License-Identifier: GPL-2.0-only */
/* The end of the machine. */
#include <abi_servers.h>
#include <abi_boot.h>
#include <base/lib.h>
#include <l4/invoke.h>
#include <platform/platform.h>

#include "handover.h"
#include "log.h"
#include "memory.h"
#include "messages.h"
#include "report.h"
#include "supervisor.h"

#define DRAIN_TICKS 5

/* Who asks to power off still waits in the main loop's Reply object while the log drains. */
static unsigned long reply;

void handover_init(void) { reply = object_alloc(L4_TYPE_REPLY, 0, 1); }

/*
 * Let the server that writes the log out finish. It may be dead or hang, so only for a few ticks; the other servers are
 * suspended meanwhile, so that none keeps it from the CPU. Returns whether all is out.
 */
static bool drain(void)
{
	int found = supervisor_log_writer();
	unsigned int writer = (unsigned int)found, ticks = 0;
	struct l4_msg msg;

	if (found < 0)
		return false;
	supervisor_stop_all_but(writer);
	supervisor_ping(writer);
	while (ticks < DRAIN_TICKS) {
		if (messages_receive(reply, &msg) != L4_ERR_OK)
			return false;
		if (msg.badge & BADGE_TICK) {
			platform_tick();
			supervisor_ping(writer);
			ticks++;
		} else if (msg.badge == (BADGE_SERVER_FAULT | writer)) {
			if (!supervisor_fault(writer, &msg))
				return false;
			messages_answer(reply, 0, 0);
		} else if (msg.badge == (BADGE_SERVER_CALL | writer) && l4_tag_label(msg.tag) == L4_ROOT_PONG) {
			if (!msg.words[0])
				return true;
		}
		/* A label other than 0 leaves a thread that faulted where it is. */
		messages_answer(reply, 1, L4_ERR_STATE);
	}
	return false;
}

/* Give the serial line back to the kernel. Of a log that could not be drained, write at least the last line again. */
static void give_back_log(void)
{
	bool drained = !log_is_bound() || drain();

	log_unbind();
	if (!drained)
		l4_printf("\001L\001L\nroot: %s", report_last());
}

void power_off(unsigned long status)
{
	give_back_log();
	l4_control_power_off(L4_ROOT_SLOT_CONTROL, status);
	halt("the machine does not power off");
}

void power_off_on_error(void) { power_off(STATUS_ERROR); }

void machine_restart(void)
{
	give_back_log();
	l4_control_restart(L4_ROOT_SLOT_CONTROL);
	halt("the machine does not restart");
}
