/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtio disk on PCI. Its formats are the class's, so the operations are those of any virtio device. */
#include <base/lib.h>
#include <class/block.h>

#include "../../lib/virtio.h"

void block_open(struct block_device *disk)
{
	u64 many = 1UL << BLOCK_F_MQ;

	disk->features = virtio_open(&disk->config, BLOCK_CONFIG_BYTES);
	disk->queues = 1;
	if (disk->features & many)
		disk->queues = disk->config.num_queues < DRIVER_QUEUES ? disk->config.num_queues : DRIVER_QUEUES;
	if (!disk->queues)
		l4_die("disk without a queue");
	virtio_queues(disk->queues, disk->features & many);
	disk->buffers = virtio_longest();
}
