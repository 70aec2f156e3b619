/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Disks. The class speaks virtio's formats (virtio 1.2, section 5.2), which the guest speaks anyway: a driver of a
 * virtio disk passes requests on as they are, a driver of another disk translates.
 *
 * A request is a struct block_header, the data, and one status byte, which the driver or its device writes last. It may
 * be in any queue. Completions may come in any order. After a restart a request may come again.
 */
#ifndef CLASS_BLOCK_H
#define CLASS_BLOCK_H

#include <class/driver.h>

#define BLOCK_STATUS_BYTES 1

/* Feature bits, section 5.2.3: what a disk can do, and which fields of its configuration count. */
enum {
	BLOCK_F_SIZE_MAX = 1,
	BLOCK_F_SEG_MAX = 2,
	BLOCK_F_GEOMETRY = 4,
	BLOCK_F_RO = 5,
	BLOCK_F_BLK_SIZE = 6,
	BLOCK_F_FLUSH = 9,
	BLOCK_F_TOPOLOGY = 10,
	BLOCK_F_MQ = 12,
	BLOCK_F_DISCARD = 13,
	BLOCK_F_WRITE_ZEROES = 14,
};

/* struct virtio_blk_req, section 5.2.6: what stands before the data; sectors are of 512 bytes. */
struct block_header {
	u32 type;
	u32 reserved;
	u64 sector;
};

/* struct virtio_blk_config, section 5.2.4. */
struct block_config {
	u64 capacity; /* sectors of 512 bytes */
	u32 size_max; /* SIZE_MAX: bytes of a segment */
	u32 seg_max;  /* SEG_MAX: segments of a request */
	u16 cylinders;
	u8 heads, sectors; /* GEOMETRY */
	u32 blk_size;      /* BLK_SIZE */
	u8 physical_block_exp, alignment_offset;
	u16 min_io_size;
	u32 opt_io_size; /* TOPOLOGY */
	u8 writeback, unused;
	u16 num_queues;                                                     /* MQ */
	u32 max_discard_sectors, max_discard_seg, discard_sector_alignment; /* DISCARD */
	u32 max_write_zeroes_sectors, max_write_zeroes_seg;                 /* WRITE_ZEROES */
	u8 write_zeroes_may_unmap, unused2[3];
};
_Static_assert(sizeof(struct block_config) == 64, "the specification's 60 bytes, and room to the next 8");
#define BLOCK_CONFIG_BYTES 60

struct block_device {
	u64 features; /* 1 << BLOCK_F_...: that the disk has */
	u16 buffers;  /* most buffers of a request, header and status included */
	u16 queues;   /* at most DRIVER_QUEUES; more than one has a disk with MQ */
	struct block_config config;
};

/* Find the disk, stop it and say what it is. Ends the program if that fails. */
void block_open(struct block_device *disk);

#endif
