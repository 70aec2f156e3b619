/* SPDX-License-Identifier: GPL-2.0-only */
/* The loader. */
#include <l4/invoke.h>

#include "image.h"
#include "memory.h"
#include "program.h"
#include "report.h"

void program_load(const char *name, struct pool *pool, unsigned long vspace)
{
	const struct l4_image_segment *segment;
	unsigned int i;
	u64 at, part;

	for (i = 0; (segment = image_segment(i)); i++) {
		if (!image_is(segment, name) || segment->kind != L4_SEGMENT_PROGRAM)
			continue;
		for (at = 0; at < segment->file_size; at += L4_PAGE_SIZE) {
			unsigned long frame = pool_objects(pool, L4_TYPE_FRAME, L4_PAGE_BITS, 1);

			part = segment->file_size - at < L4_PAGE_SIZE ? segment->file_size - at : L4_PAGE_SIZE;
			page_fill(frame, 0, (const char *)image_data(segment) + at, part);
			check(l4_vspace_map(vspace, frame, segment->vaddr + at, segment->rights, false),
			      "map of a program");
		}
	}
}

unsigned long program_rights(const char *name, u64 address)
{
	const struct l4_image_segment *segment;
	unsigned long rights = 0;
	unsigned int i;

	for (i = 0; (segment = image_segment(i)); i++)
		if (image_is(segment, name) && address >= segment->vaddr &&
		    address - segment->vaddr < segment->mem_size)
			rights = segment->rights;
	return rights;
}
