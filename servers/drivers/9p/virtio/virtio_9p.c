/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A virtio 9P device on PCI. Its formats are the class's, so requests go on the ring as they are.
 *
 * A reset would make it forget which files its guest has open. So the device runs on between two lives of this program,
 * and the ring is one that the next life can go on with. If what the last life left contradicts itself, the device is
 * reset all the same: then the guest's requests end in errors until it mounts the folder anew.
 */
#include <base/lib.h>
#include <base/resource.h>
#include <class/9p.h>
#include <virtio/kept_queue.h>
#include <virtio/virtio_pci.h>

/* On a page that this program cannot write. */
static const struct l4_server_info *const info = (const void *)L4_SERVER_INFO_VADDR;
static struct virtio_pci pci;
static struct kept_queue queue;

_Static_assert(P9_REQUESTS <= KEPT_REQUESTS && DRIVER_TOKENS == KEPT_TOKENS, "a slot for each request");

static void enable_queue(void)
{
	struct virtio_pci_queue registers = {
		.size = queue.size,
		.desc = queue.desc_paddr,
		.avail = queue.avail_paddr,
		.used = queue.used_paddr,
	};

	virtio_pci_enable_queue(&pci, 0, &registers);
}

/* Put the ring where it is, as long as the device's register says. False: there is none, or no room for it. */
static bool place_queue(void)
{
	const struct l4_resource *memory = resource_first(info, L4_RESOURCE_DMA_MEMORY);
	u16 size = virtio_pci_queue_size(&pci, 0);

	if (size > KEPT_LONGEST)
		size = KEPT_LONGEST;
	if (size < KEPT_SLOTS || kept_queue_bytes() > memory->size - DRIVER_DMA_RESERVED)
		return false;
	kept_queue_place(&queue, (void *)L4_SERVER_DMA_VADDR, memory->address, size, virtio_pci_doorbell(&pci, 0));
	return true;
}

/* Whether the device runs as a former life started it. */
static bool device_is_kept(void) { return info->restarts && kept_queue_is_kept(&queue) && virtio_pci_runs(&pci); }

void p9_open(struct p9_device *folder)
{
	u16 length;

	virtio_pci_init(&pci, info);
	if (!place_queue() || !device_is_kept()) {
		/* A stray store may have changed the register; a reset mends it. */
		virtio_pci_reset(&pci);
		if (!place_queue())
			l4_die("device has no queue that fits");
		kept_queue_drop(&queue);
	}
	folder->features = virtio_pci_features(&pci);
	if (!(folder->features & VIRTIO_F_VERSION_1) || !(folder->features & VIRTIO_F_INDIRECT_DESC))
		l4_die("device is no modern one that takes tables");
	virtio_pci_config(&pci, (u8 *)&folder->config, sizeof(folder->config));
	length = folder->config.tag_len;
	if (!(folder->features & 1UL << P9_F_MOUNT_TAG) || length > P9_TAG_MAX)
		l4_die("device has no name of at most %u bytes", P9_TAG_MAX);
	memset(folder->config.tag + length, 0, P9_TAG_MAX - length);
	folder->buffers = queue.size;
}

void driver_start(u64 features)
{
	kept_queue_clear(&queue);
	if (!virtio_pci_negotiate(&pci, features | VIRTIO_F_INDIRECT_DESC | VIRTIO_F_VERSION_1))
		l4_die("device refuses its own features");
	enable_queue();
	virtio_pci_start(&pci);
	kept_queue_keep(&queue);
}

int driver_resume(unsigned int number, u16 first)
{
	int count = -1;

	if (device_is_kept()) {
		/* Once more with the values that the registers have, unless a stray store changed them. */
		enable_queue();
		count = kept_queue_resume(&queue, first);
	}
	if (count < 0)
		l4_printf("device starts anew: files that the guest has open are lost\n");
	return count;
}

void driver_stop(void)
{
	kept_queue_drop(&queue);
	virtio_pci_reset(&pci);
}

bool driver_submit(unsigned int number, const struct guest_chain *chain, const struct dma_buffer *buffers, u16 token)
{
	kept_queue_add(&queue, buffers, chain->count, token);
	return true;
}

bool driver_holds(unsigned int number, const struct dma_buffer *buffers, u16 count)
{
	return kept_queue_holds(&queue, buffers, count);
}

void driver_kick(unsigned int number) { kept_queue_kick(&queue); }

bool driver_done(unsigned int number) { return kept_queue_done(&queue); }

bool driver_complete(unsigned int number, u16 *token, u32 *written) { return kept_queue_get(&queue, token, written); }

void driver_interrupt(void) { virtio_pci_interrupt(&pci); }

bool driver_runs(void) { return virtio_pci_runs(&pci); }

bool driver_check(unsigned int number, u16 count)
{
	if (!kept_queue_sound(&queue, count))
		return false;
	kept_queue_ring(&queue);
	return true;
}
