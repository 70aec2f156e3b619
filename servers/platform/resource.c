/* SPDX-License-Identifier: GPL-2.0-only */
/* Lists of resources. */
#include <root/report.h>
#include "device.h"

void device_add(struct device *device, struct l4_resource resource)
{
	if (device->count == DEVICE_RESOURCES)
		fail("%s has too many resources", device->name);
	device->resource[device->count++] = resource;
}

const struct l4_resource *device_resource(const struct device *device, unsigned int kind)
{
	unsigned int i;

	for (i = 0; i < device->count; i++)
		if (device->resource[i].kind == kind)
			return &device->resource[i];
	return NULL;
}
