/* SPDX-License-Identifier: GPL-2.0-only */
/* Calls of guests. */
#include <abi_boot.h>
#include <l4/invoke.h>
#include <l4/syscall.h>

#include "calls.h"
#include "memory.h"
#include "messages.h"
#include "report.h"

#define STACK     4096
#define PERIOD_US 10000

static char stack[STACK] __attribute__((aligned(16)));
static unsigned long endpoint, reply;

/*
 * The badge is the capability by which a call goes on. Words beyond the registers stay where they are: in this thread's
 * UTCB. Capabilities go no further. A vCPU that is stopped waits for no answer.
 */
static void hand_on(void) __attribute__((noreturn));
static void hand_on(void)
{
	unsigned long error;
	struct l4_msg msg;

	for (;;) {
		msg = (struct l4_msg){ 0 };
		if (l4_recv(endpoint, reply, &msg))
			continue;
		msg.tag = l4_tag(l4_tag_label(msg.tag), l4_tag_words(msg.tag), 0);
		error = l4_call(msg.badge, &msg);
		messages_answer(reply, 0, error ? error : msg.words[0]);
		l4_yield();
	}
}

void calls_init(unsigned long fault_badge)
{
	unsigned long thread = object_alloc(L4_TYPE_THREAD, 0, 1), sched = object_alloc(L4_TYPE_SCHED_CONTEXT, 0, 1);
	struct l4_frame frame;

	endpoint = object_alloc(L4_TYPE_ENDPOINT, 0, 1);
	reply = object_alloc(L4_TYPE_REPLY, 0, 1);
	check(l4_control_sched_configure(L4_ROOT_SLOT_CONTROL, sched, PERIOD_US, PERIOD_US, 0), "time for calls");
	check(l4_thread_configure(thread, L4_ROOT_SLOT_CNODE, L4_ROOT_SLOT_VSPACE, CALLS_UTCB_VADDR,
	                          messages_fault_handler(fault_badge)),
	      "thread for calls");
	check(l4_thread_set_sched(thread, sched, VCPU_PRIORITY, VCPU_PRIORITY), "priority of calls");
	l4_frame_init(&frame, (unsigned long)hand_on, (unsigned long)stack + STACK, 0, 0, 0);
	check(l4_thread_write_regs(thread, l4_utcb, &frame), "registers of the thread for calls");
	check(l4_thread_resume(thread), "start of the thread for calls");
}

unsigned long calls_sender(unsigned long call) { return cap_mint(endpoint, L4_RIGHT_WRITE, call); }
