/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What drivers of virtio PCI devices share: all operations of class/driver.h. The class's queues are the device's, and
 * a request goes on the device's ring as it is, so no byte of it is copied or looked at.
 */
#ifndef DRIVERS_VIRTIO_H
#define DRIVERS_VIRTIO_H

#include <class/driver.h>

/* Find the device, stop it and read its configuration. Returns the features that it offers. */
u64 virtio_open(void *config, u32 config_bytes);

/* How many queues are used, of those that the device has once it is told that the driver knows these features. */
void virtio_queues(unsigned int count, u64 features);

/* Most buffers of a request, in whichever queue. */
u16 virtio_longest(void);

#endif
