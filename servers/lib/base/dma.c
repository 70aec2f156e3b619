/* SPDX-License-Identifier: BSD-2-Clause */
/* From guest-physical addresses to those of a device. */
#include <abi_servers.h>
#include <base/dma.h>
#include <base/resource.h>

/* Read from its page each time, which this program cannot write: a copy could be overwritten. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;

void dma_translate(struct dma_buffer *to, const struct guest_buffer *from, u16 count)
{
	u64 offset = resource_first(info, L4_RESOURCE_GUEST_MEMORY)->address;

	for (; count; count--, from++, to++)
		*to = (struct dma_buffer){ from->gpa + offset, from->bytes, from->write };
}
