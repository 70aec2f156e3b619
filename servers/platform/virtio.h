/* SPDX-License-Identifier: GPL-2.0-only */
/* Modern virtio devices on PCI (virtio 1.2, section 4.1). */
#ifndef PLATFORM_VIRTIO_H
#define PLATFORM_VIRTIO_H

#include "device.h"

/*
 * Find the device with the PCI device id `modern`, the one after `instance` others of the same, and add its registers
 * and interrupt to its resources, or fail(). transitional: the id of those that are not driven (section 4.1.2.1).
 */
void virtio_claim(struct device *device, u16 modern, u16 transitional, unsigned int instance);

#endif
