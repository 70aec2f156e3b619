/* SPDX-License-Identifier: GPL-2.0-only */
/* What guests ask for. */
#include <abi_boot.h>
#include <base/lib.h>
#include <l4/invoke.h>

#include "handover.h"
#include "report.h"
#include "requests.h"

/* A message's words as text: bytes that do not print become spaces, what is too long is cut. */
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

bool guest_call(struct guest *guest, unsigned int vcpu, const struct l4_msg *msg, u64 *word)
{
	char text[L4_MSG_WORDS * 8 + 1];

	*word = L4_ERR_OK;
	switch (l4_tag_label(msg->tag)) {
	case L4_ROOT_POWER_OFF:
		say("guest powers off, status %lu\n", msg->words[0]);
		power_off(msg->words[0]);
	case L4_ROOT_RESTART:
		say("guest restarts\n");
		machine_restart();
	case L4_ROOT_PANIC:
		panic_text(msg, text, sizeof(text));
		say("guest panic: %s\n", text);
		power_off(STATUS_PANIC);
	case L4_ROOT_UNMAP_RAM:
		vcpu_unmap_ram(&guest->vcpus, vcpu);
		return true;
	case L4_ROOT_VCPU_START:
		*word = vcpu_start(&guest->vcpus, msg->words[0], msg->words[1], msg->words[2]);
		return true;
	case L4_ROOT_VCPU_STOP:
		*word = vcpu_stop(&guest->vcpus, vcpu);
		return true;
	default:
		return false;
	}
}

void guest_fault(struct guest *guest, const struct l4_msg *msg)
{
	static const char *const names[] = { "?", "page fault", "exception",
	                                     "fault without an upcall entry that works" };
	unsigned long label = l4_tag_label(msg->tag);
	const char *name = names[label < 4 ? label : 0];

	say("guest fault: %s, %lx %lx %lx %lx\n", name, msg->words[0], msg->words[1], msg->words[2], msg->words[3]);
	say("guest panic: %s at %lx\n", name, msg->words[2]);
	power_off(STATUS_PANIC);
}
