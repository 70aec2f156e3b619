/* SPDX-License-Identifier: GPL-2.0-only */
/* The operations of class/driver.h, for any virtio PCI device. */
#include <base/lib.h>
#include <base/resource.h>
#include <virtio/virtio_pci.h>

#include "virtio.h"

/* On a page that this program cannot write. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;
static struct virtio_pci pci;
static struct virtqueue ring[DRIVER_QUEUES];
static unsigned int queues;
static u64 own;      /* features that the driver uses, whatever the guest chooses */
static u64 indirect; /* VIRTIO_F_INDIRECT_DESC if the device takes tables, else 0 */

_Static_assert(CHAIN_MAX <= VIRTQUEUE_LONGEST, "a table holds any request of the guest");
_Static_assert(DRIVER_TOKENS >= VIRTQUEUE_MAX, "a token for each request in a ring");

u64 virtio_open(void *config, u32 config_bytes)
{
	u64 features;

	virtio_pci_init(&pci, info);
	virtio_pci_reset(&pci);
	features = virtio_pci_features(&pci);
	if (!(features & VIRTIO_F_VERSION_1))
		l4_die("device is not a modern virtio device");
	indirect = features & VIRTIO_F_INDIRECT_DESC;
	virtio_pci_config(&pci, config, config_bytes);
	return features;
}

void virtio_queues(unsigned int count, u64 features)
{
	queues = count;
	own = features | indirect | VIRTIO_F_VERSION_1;
}

u16 virtio_longest(void)
{
	u16 longest = CHAIN_MAX, size;
	unsigned int i;

	for (i = 0; i < queues && !indirect; i++) {
		size = virtio_pci_queue_size(&pci, (u16)i);
		if (size < longest)
			longest = size;
	}
	return longest;
}

/* A queue's share of the DMA memory, of whole pages: its ring, then tables for long requests. */
static void start_queue(u16 number, u64 share)
{
	char *memory = (char *)(L4_SERVER_DMA_VADDR + number * share);
	u64 paddr = resource_first(info, L4_RESOURCE_DMA_MEMORY)->address + number * share, used;
	u16 size = virtio_pci_queue_size(&pci, number);

	if (!size || virtqueue_bytes(size) > share - DRIVER_DMA_RESERVED)
		l4_die("device has no queue %u", number);
	virtio_pci_queue(&pci, &ring[number], number, size, memory, paddr);
	used = (virtqueue_bytes(size) + L4_PAGE_SIZE - 1) & ~(L4_PAGE_SIZE - 1UL);
	if (indirect && used + DRIVER_DMA_RESERVED <= share)
		virtqueue_tables(&ring[number], memory + used, paddr + used, share - DRIVER_DMA_RESERVED - used);
}

void driver_start(u64 features)
{
	u64 share = resource_first(info, L4_RESOURCE_DMA_MEMORY)->size / queues & ~(L4_PAGE_SIZE - 1UL);
	u16 i;

	if (!virtio_pci_negotiate(&pci, features | own))
		l4_die("device refuses its own features");
	for (i = 0; i < queues; i++)
		start_queue(i, share);
	virtio_pci_start(&pci);
}

/* The device is always stopped between two lives. */
int driver_resume(unsigned int queue, u16 first) { return -1; }

void driver_stop(void) { virtio_pci_reset(&pci); }

bool driver_submit(unsigned int queue, const struct guest_chain *chain, const struct dma_buffer *buffers, u16 token)
{
	return virtqueue_add(&ring[queue], buffers, chain->count, token);
}

bool driver_holds(unsigned int queue, const struct dma_buffer *buffers, u16 count)
{
	return virtqueue_holds(&ring[queue], buffers, count);
}

void driver_kick(unsigned int queue) { virtqueue_kick(&ring[queue]); }

bool driver_done(unsigned int queue) { return virtqueue_done(&ring[queue]); }

bool driver_complete(unsigned int queue, u16 *token, u32 *written)
{
	return virtqueue_get(&ring[queue], token, written);
}

void driver_interrupt(void) { virtio_pci_interrupt(&pci); }

bool driver_runs(void) { return virtio_pci_runs(&pci); }

bool driver_check(unsigned int queue, u16 count)
{
	if (!virtqueue_sound(&ring[queue], count))
		return false;
	virtqueue_ring(&ring[queue]);
	return true;
}
