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

#define CHAIN_MAX 256 /* buffers of one request */

/* A request of a guest: all buffers are inside of its RAM, those that the device reads come first. */
struct guest_chain {
	u16 head; /* its name in the ring */
	u16 count;
	u64 readable, writable; /* bytes */
	struct guest_buffer buffer[CHAIN_MAX];
};

/* A guest_buffer for a device: the address that it puts on the bus. */
struct dma_buffer {
	u64 addr;
	u32 bytes;
	bool write;
};

/* The range of each buffer has been checked to lie in guest RAM. */
void dma_translate(struct dma_buffer *to, const struct guest_buffer *from, u16 count);

#endif
