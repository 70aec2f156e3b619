/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Two kinds of addresses for the pieces of a request, as two types, so that neither is taken for the other. Only
 * dma_translate() makes one of the other: an IOMMU's mapping belongs there.
 */
#ifndef BASE_DMA_H
#define BASE_DMA_H

#include <l4/types.h>

/* In guest RAM, by guest-physical address, as the guest names it. */
struct guest_buffer {
	u64 gpa;
	u32 bytes;
	bool write; /* the device writes it */
};

/* The same for a device: the address that it puts on the bus. */
struct dma_buffer {
	u64 addr;
	u32 bytes;
	bool write;
};

/* The range of each buffer has been checked to lie in guest RAM. */
void dma_translate(struct dma_buffer *to, const struct guest_buffer *from, u16 count);

#endif
