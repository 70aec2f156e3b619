/* SPDX-License-Identifier: GPL-2.0-only */
/* Network card of the machine: a modern virtio network device on PCI, its rings driven by libl4. */
#include "../../../fronts/net/net.h"

int l4_main(void *arg) { front_serve(&net_class); }
