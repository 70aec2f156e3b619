/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's disk (virtio 1.2, section 5.2): what of the machine's disk the guest may see and use. */
#include <base/lib.h>
#include <base/server.h>
#include <class/block.h>

#include "../lib/front.h"

#define BIT(feature) (1UL << BLOCK_F_##feature)

const struct front front = {
	.device_id = 2,
	.features = BIT(SIZE_MAX) | BIT(SEG_MAX) | BIT(GEOMETRY) | BIT(RO) | BIT(BLK_SIZE) | BIT(FLUSH) |
	            BIT(TOPOLOGY) | BIT(MQ) | BIT(DISCARD) | BIT(WRITE_ZEROES),
	.config_bytes = BLOCK_CONFIG_BYTES,
	.queue_size = 128,
	.status = true,
	.least = { [0 ... DRIVER_QUEUES - 1] = { sizeof(struct block_header), BLOCK_STATUS_BYTES } },
};

int l4_main(void *arg)
{
	static struct block_device disk;

	l4_server_check();
	block_open(&disk);
	/* A request is a header, segments and a status. */
	if (disk.config.seg_max > disk.buffers - 2U)
		disk.config.seg_max = disk.buffers - 2U;
	disk.config.num_queues = disk.queues;
	front_serve(disk.features, disk.queues, disk.buffers, &disk.config);
}
