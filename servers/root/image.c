/* SPDX-License-Identifier: GPL-2.0-only */
/* The boot image. Nothing uses a number of it before image_init() has checked it. */
#include <abi_hash.h>
#include <base/lib.h>
#include <l4/invoke.h>

#include "image.h"
#include "memory.h"
#include "report.h"

static const struct l4_image_header *header;
static const struct l4_image_segment *segments;

static void map_image(void)
{
	unsigned int i;

	for (i = 0; i < boot_info->untyped_count; i++) {
		const struct l4_boot_untyped *untyped = &boot_info->untyped[i];

		if (untyped->kind == L4_MEM_IMAGE)
			check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, boot_frame(i), IMAGE_VADDR + untyped->paddr,
			                    L4_RIGHT_READ, 0),
			      "map of the boot image");
	}
}

static void check_segment(const struct l4_image_segment *segment)
{
	u64 size = header->size;

	if (segment->program[sizeof(segment->program) - 1] || segment->offset % L4_PAGE_SIZE ||
	    segment->offset > size || segment->file_size > size - segment->offset ||
	    segment->file_size > segment->mem_size || segment->vaddr % L4_PAGE_SIZE ||
	    segment->vaddr + segment->mem_size < segment->vaddr)
		fail("boot image: segment %ld makes no sense", (long)(segment - segments));
}

void image_init(void)
{
	unsigned int i;

	if (!boot_info->image_paddr || boot_info->image_size < sizeof(*header))
		fail("no boot image");
	map_image();
	header = (const void *)(IMAGE_VADDR + boot_info->image_paddr);
	segments = (const void *)(header + 1);
	if (header->magic != L4_IMAGE_MAGIC)
		fail("boot image: no magic number");
	if (header->abi_hash != L4_ABI_HASH)
		fail("boot image is for another ABI (%lx, not %lx)", header->abi_hash, L4_ABI_HASH);
	if (header->size > boot_info->image_size ||
	    header->segment_count > (header->size - sizeof(*header)) / sizeof(*segments))
		fail("boot image is cut short");
	if (!header->guest_ram || header->guest_ram % (1UL << L4_LARGE_PAGE_BITS))
		fail("boot image: guest RAM of %lu bytes is no multiple of 2 MiB", header->guest_ram);
	if (!header->guest_modes || header->guest_modes >> (L4_GUEST_ABOVE + 1))
		fail("boot image: guest modes %x make no sense", header->guest_modes);
	for (i = 0; i < header->segment_count; i++)
		check_segment(&segments[i]);
}

u64 image_guest_ram(void) { return header->guest_ram; }

u64 image_guest_modes(void) { return header->guest_modes; }

const struct l4_image_segment *image_segment(unsigned int index)
{
	return index < header->segment_count ? &segments[index] : NULL;
}

bool image_is(const struct l4_image_segment *segment, const char *program)
{
	return !strncmp((const char *)segment->program, program, sizeof(segment->program));
}

const void *image_data(const struct l4_image_segment *segment) { return (const char *)header + segment->offset; }

u64 image_entry(const char *program)
{
	unsigned int i;

	for (i = 0; i < header->segment_count; i++)
		if (image_is(&segments[i], program))
			return segments[i].entry;
	fail("boot image has no program %s", program);
}
