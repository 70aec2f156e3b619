/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtio disk on PCI. Its formats are the class's, so the operations are those of any virtio device. */
#include "../../lib/virtio.h"
#include <class/block.h>

void block_open(struct block_device *disk)
{
	disk->features = virtio_open(BLOCK_QUEUES, &disk->config, BLOCK_CONFIG_BYTES);
	disk->buffers = virtio_longest();
}
