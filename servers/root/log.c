/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's log. */
#include <abi_boot.h>
#include <l4/invoke.h>

#include "log.h"
#include "memory.h"
#include "report.h"

static unsigned long frame;
static bool bound;

void log_init(void)
{
	unsigned int i;

	for (i = 0; i < boot_info->untyped_count && boot_info->untyped[i].kind != L4_MEM_LOG; i++)
		;
	if (i == boot_info->untyped_count)
		fail("the kernel shows no log");
	frame = boot_frame(i);
	check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, cap_copy(frame), LOG_VADDR, L4_RIGHT_READ, 0), "map of the log");
	report_log((const struct l4_log_header *)LOG_VADDR);
}

unsigned long log_frame(void) { return frame; }

u64 log_position(void) { return l4_load_acquire(&((const struct l4_log_header *)LOG_VADDR)->head); }

void log_bind(unsigned long event)
{
	check(l4_control_log_bind(L4_ROOT_SLOT_CONTROL, event), "bind of the log");
	bound = true;
}

bool log_is_bound(void) { return bound; }

void log_unbind(void)
{
	l4_control_log_bind(L4_ROOT_SLOT_CONTROL, 0);
	bound = false;
}
