/* SPDX-License-Identifier: GPL-2.0-only */
/* Modern virtio devices on PCI (virtio 1.2, section 4.1). */
#ifndef PLATFORM_VIRTIO_H
#define PLATFORM_VIRTIO_H

#include "device.h"

/*
 * Find the device with this PCI device id, the one after `instance` others of the same, and add its registers and
 * interrupt to its resources, or fail().
 */
void virtio_claim(struct device *device, u16 device_id, unsigned int instance);

#endif
