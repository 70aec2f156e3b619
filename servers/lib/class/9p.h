/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Folders of another machine, by the 9P2000.L protocol (virtio 1.2, section 5.15 leaves it to QEMU's document). The
 * class speaks virtio's formats, which the guest speaks anyway.
 *
 * A request in queue 0 is a message of the guest (T...), then room for the answer (R...). Each starts with a
 * struct p9_header. Completions may come in any order: the message's tag tells the guest which it was.
 *
 * Messages name files by numbers (fids) that stand for files which an earlier message has opened. Whoever serves the
 * requests has those numbers in its memory, and loses them when its device is stopped. So a driver's next life goes on
 * with the device as it is (driver_resume()) where it can.
 */
#ifndef CLASS_9P_H
#define CLASS_9P_H

#include <class/driver.h>

#define P9_QUEUES   1
#define P9_REQUESTS 15 /* most that have not gone back to the guest: the driver keeps a note of each */
#define P9_TAG_MAX  32 /* bytes of a folder's name */

/* Feature bit: the configuration holds the folder's name. */
enum {
	P9_F_MOUNT_TAG = 0,
};

/* Before each message. Fields are little-endian and not aligned. */
struct p9_header {
	u32 size; /* with this header */
	u8 type;
	u16 tag;
} __attribute__((packed));
_Static_assert(sizeof(struct p9_header) == 7, "no gaps");

/* struct virtio_9p_config. */
struct p9_config {
	u16 tag_len;
	u8 tag[P9_TAG_MAX];
};
_Static_assert(sizeof(struct p9_config) == 34, "no gaps");

struct p9_device {
	u64 features; /* 1 << P9_F_...: that the device has */
	u16 buffers;  /* most buffers of a request */
	struct p9_config config;
};

/* Find the device and say what it is; stop it unless a former life left it running. Ends the program if that fails. */
void p9_open(struct p9_device *folder);

#endif
