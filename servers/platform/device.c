/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices by what they are. */
#include <base/lib.h>

#include <root/report.h>
#include "board.h"
#include "platform.h"
#include "virtio.h"

static void claim_disk(struct device *device) { virtio_claim(device, 0x1042); }

static void claim_network_card(struct device *device) { virtio_claim(device, 0x1041); }

static const struct {
	const char *what, *name;
	void (*claim)(struct device *device);
} classes[] = {
	{ "serial line", "serial line", board_serial },
	{ "disk", "virtio-blk-pci", claim_disk },
	{ "network card", "virtio-net-pci", claim_network_card },
};

void platform_claim(struct device *device, const char *what)
{
	unsigned int i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (!strncmp(classes[i].what, what, strlen(what) + 1)) {
			device->name = classes[i].name;
			classes[i].claim(device);
			return;
		}
	fail("the system asks for a %s, which nothing here finds", what);
}
