/* SPDX-License-Identifier: GPL-2.0-only */
/* A folder for the guest (9P2000.L over virtio): what of the machine's device the guest may see and use. */
#include <base/lib.h>
#include <base/server.h>
#include <class/9p.h>

#include "../lib/front.h"

#define BIT(feature) (1UL << P9_F_##feature)

const struct front front = {
	.device_id = 9,
	.features = BIT(MOUNT_TAG),
	.config_bytes = sizeof(struct p9_config),
	.queue_size = 128,
	.out_max = P9_REQUESTS,
	.least = { { sizeof(struct p9_header), sizeof(struct p9_header) } },
};

int l4_main(void *arg)
{
	static struct p9_device folder;

	l4_server_check();
	p9_open(&folder);
	front_serve(folder.features, P9_QUEUES, folder.buffers, &folder.config);
}
