/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices by what they are. */
#include <base/lib.h>

#include <root/report.h>
#include "board.h"
#include "platform.h"
#include "virtio.h"

static void claim_serial(struct device *device, unsigned int instance)
{
	if (instance)
		fail("the system asks for %s %u, and one is driven", device->name, instance + 1);
	board_serial(device);
}

static void claim_disk(struct device *device, unsigned int instance) { virtio_claim(device, 0x1042, 0x1001, instance); }

static void claim_network_card(struct device *device, unsigned int instance)
{
	virtio_claim(device, 0x1041, 0x1000, instance);
}

/* What its guest relies on would be lost by a stop: it runs on between two lives of its driver. */
static void claim_shared_folder(struct device *device, unsigned int instance)
{
	virtio_claim(device, 0x1049, 0x1009, instance);
	device->stop = NULL;
}

static const struct {
	const char *what, *name;
	void (*claim)(struct device *device, unsigned int instance);
} classes[] = {
	{ "serial line", "serial line", claim_serial },
	{ "disk", "virtio-blk-pci", claim_disk },
	{ "network card", "virtio-net-pci", claim_network_card },
	{ "shared folder", "virtio-9p-pci", claim_shared_folder },
};

void platform_claim(struct device *device, const char *what, unsigned int instance)
{
	unsigned int i;

	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (!strncmp(classes[i].what, what, strlen(what) + 1)) {
			device->name = classes[i].name;
			classes[i].claim(device, instance);
			return;
		}
	fail("the system asks for a %s, which nothing here finds", what);
}
