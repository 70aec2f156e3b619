/* SPDX-License-Identifier: GPL-2.0-only */
/* RAM of a guest: physically contiguous, in at most L4_GUEST_REGIONS Frames. */
#ifndef ROOT_GUEST_MEMORY_H
#define ROOT_GUEST_MEMORY_H

#include <l4/types.h>

struct guest_memory {
	u64 paddr, bytes;
	unsigned int count;
	struct region {
		unsigned long frame;
		u64 gpa;
		unsigned long size_bits;
	} region[L4_GUEST_REGIONS];
};

/* Take memory for a guest. Before other objects are made, so that large runs are whole. */
void guest_memory_alloc(struct guest_memory *memory, u64 bytes);

#endif
