/* SPDX-License-Identifier: GPL-2.0-only */
/* Disk of the machine: a modern virtio block device on PCI, its rings driven by libl4. */
#include "../../../fronts/block/block.h"

int l4_main(void *arg) { front_serve(&block_class); }
