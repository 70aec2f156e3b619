/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's disk (virtio 1.2, section 5.2): what of the machine's disk it may see and use. */
#include "block.h"

#define ID 2

enum { /* feature bits, section 5.2.3 */
       F_SIZE_MAX = 1,
       F_SEG_MAX = 2,
       F_GEOMETRY = 4,
       F_RO = 5,
       F_BLK_SIZE = 6,
       F_FLUSH = 9,
       F_TOPOLOGY = 10,
       F_DISCARD = 13,
       F_WRITE_ZEROES = 14,
};

#define CONFIG_SEG_MAX 12 /* struct virtio_blk_config, section 5.2.4 */
#define CONFIG_BYTES   60
#define HEADER_BYTES   16
#define STATUS_BYTES   1

/* A request is a header, segments and a status. */
static void limit_segments(u8 *config, u16 buffers)
{
	u32 *seg_max = (u32 *)(config + CONFIG_SEG_MAX);

	if (*seg_max > buffers - 2U)
		*seg_max = buffers - 2U;
}

const struct front_class block_class = {
	.device_id = ID,
	.features = 1UL << F_SIZE_MAX | 1UL << F_SEG_MAX | 1UL << F_GEOMETRY | 1UL << F_RO | 1UL << F_BLK_SIZE |
	            1UL << F_FLUSH | 1UL << F_TOPOLOGY | 1UL << F_DISCARD | 1UL << F_WRITE_ZEROES,
	.config_bytes = CONFIG_BYTES,
	.queue_size = 128,
	.queue_count = 1,
	.status = true,
	.least = { { HEADER_BYTES, STATUS_BYTES } },
	.limit = limit_segments,
};
