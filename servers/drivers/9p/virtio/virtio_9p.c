/* SPDX-License-Identifier: GPL-2.0-only */
/* A virtio 9P device on PCI. Its formats are the class's, so the operations are those of any virtio device. */
#include "../../lib/virtio.h"
#include <base/lib.h>
#include <class/9p.h>

void p9_open(struct p9_device *folder)
{
	u16 length;

	folder->features = virtio_open(P9_QUEUES, &folder->config, sizeof(folder->config));
	folder->buffers = virtio_longest();
	length = folder->config.tag_len;
	if (!(folder->features & 1UL << P9_F_MOUNT_TAG) || length > P9_TAG_MAX)
		l4_die("device has no name of at most %u bytes", P9_TAG_MAX);
	memset(folder->config.tag + length, 0, P9_TAG_MAX - length);
}
