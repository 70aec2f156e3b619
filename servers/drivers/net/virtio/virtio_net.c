/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtio network card on PCI. Its formats are the class's, so the operations are those of any virtio device. */
#include "../../lib/virtio.h"
#include <class/net.h>

void net_open(struct net_device *card)
{
	card->features = virtio_open(&card->config, sizeof(card->config));
	virtio_queues(NET_QUEUES, 0);
	card->buffers = virtio_longest();
}
