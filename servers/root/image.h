/* SPDX-License-Identifier: GPL-2.0-only */
/* The boot image: programs and blobs in segments. */
#ifndef ROOT_IMAGE_H
#define ROOT_IMAGE_H

#include <abi_boot.h>
#include <l4/types.h>

/* Map the image and check all that it says about itself, once. */
void image_init(void);

/* Bytes of RAM for a guest. */
u64 image_guest_ram(void);

/* Bit mask of the modes that a guest's kernel may run in. */
u64 image_guest_modes(void);

/* Segment number `index`; NULL: there are no more. */
const struct l4_image_segment *image_segment(unsigned int index);
bool image_is(const struct l4_image_segment *segment, const char *program);
const void *image_data(const struct l4_image_segment *segment);

/* Where a program begins. */
u64 image_entry(const char *program);

#endif
