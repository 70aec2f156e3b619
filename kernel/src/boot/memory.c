// SPDX-License-Identifier: GPL-2.0-only
/* The memory map of the machine, as boot code finds it, and memory that the kernel takes for good. */
#include <kernel/arch.h>
#include <kernel/boot.h>
#include <kernel/debug.h>

void boot_add_range(struct boot_machine *m, u64 start, u64 end, u32 kind)
{
	u32 at = m->ranges;

	if (start >= end)
		return;
	if (m->ranges == BOOT_RANGES)
		panic("too many memory ranges");
	while (at && m->range[at - 1].start > start) {
		m->range[at] = m->range[at - 1];
		at--;
	}
	m->range[at] = (struct boot_range){ start, end, kind };
	m->ranges++;
}

void boot_remove_range(struct boot_machine *m, u64 start, u64 end)
{
	for (u32 i = 0; i < m->ranges; i++) {
		struct boot_range r = m->range[i];

		if (r.end <= start || r.start >= end)
			continue;
		memcpy(&m->range[i], &m->range[i + 1], (m->ranges - i - 1) * sizeof(r));
		m->ranges--;
		boot_add_range(m, r.start, start, r.kind);
		boot_add_range(m, end > r.start ? end : r.start, r.end, r.kind);
		i = -1;
	}
}

void *boot_alloc(struct boot_machine *m, u32 bits)
{
	for (u32 i = 0; i < m->ranges; i++) {
		u64 start = align_up(m->range[i].start, BIT(bits));

		if (m->range[i].kind != L4_MEM_RAM || start + BIT(bits) > m->range[i].end)
			continue;
		boot_remove_range(m, start, start + BIT(bits));
		memset(arch_ptr(start), 0, BIT(bits));
		return arch_ptr(start);
	}
	panic("no memory for 2^%u bytes", bits);
}
