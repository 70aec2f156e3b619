/* SPDX-License-Identifier: BSD-2-Clause */
/* Split rings (virtio 1.2, section 2.7) in memory; status and feature bits of every device (sections 2.1 and 6). */
#ifndef VIRTIO_VRING_H
#define VIRTIO_VRING_H

#include <l4/types.h>

#define VRING_DESC_NEXT          1
#define VRING_DESC_WRITE         2
#define VRING_DESC_INDIRECT      4
#define VRING_AVAIL_NO_INTERRUPT 1
#define VRING_USED_NO_NOTIFY     1

#define VIRTIO_STATUS_ACKNOWLEDGE 1
#define VIRTIO_STATUS_DRIVER      2
#define VIRTIO_STATUS_DRIVER_OK   4
#define VIRTIO_STATUS_FEATURES_OK 8
#define VIRTIO_STATUS_NEEDS_RESET 64

#define VIRTIO_F_INDIRECT_DESC (1UL << 28)
#define VIRTIO_F_EVENT_IDX     (1UL << 29)
#define VIRTIO_F_VERSION_1     (1UL << 32)

struct vring_desc {
	u64 addr;
	u32 len;
	u16 flags;
	u16 next;
};

struct vring_avail {
	u16 flags;
	u16 idx;
	u16 ring[];
};

struct vring_used_elem {
	u32 id;
	u32 len;
};

struct vring_used {
	u16 flags;
	u16 idx;
	struct vring_used_elem ring[];
};

/*
 * Where the parts of a device's ring are in its memory: descriptors, the available ring with its event field, then the
 * used ring, aligned as section 2.7 asks, with its event field.
 */
#define VRING_AVAIL_OFFSET(size) (sizeof(struct vring_desc) * (size))
#define VRING_USED_OFFSET(size)  ((VRING_AVAIL_OFFSET(size) + 6 + 2UL * (size) + 63) & ~63UL)
#define VRING_BYTES(size)        (VRING_USED_OFFSET(size) + 6 + 8UL * (size))

#endif
