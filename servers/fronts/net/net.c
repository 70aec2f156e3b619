/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's network card (virtio 1.2, section 5.1): what of the machine's card it may see and use. */
#include "net.h"

#define ID 1

/*
 * Feature bits, section 5.1.3. Checksum and segmentation offloads only say what may stand in the header in
 * front of a packet, which passes through; all that needs the control queue stays out.
 */
enum {
	F_CSUM = 0,
	F_GUEST_CSUM = 1,
	F_MTU = 3,
	F_MAC = 5,
	F_GUEST_TSO4 = 7,
	F_GUEST_TSO6 = 8,
	F_GUEST_ECN = 9,
	F_GUEST_UFO = 10,
	F_HOST_TSO4 = 11,
	F_HOST_TSO6 = 12,
	F_HOST_ECN = 13,
	F_HOST_UFO = 14,
	F_MRG_RXBUF = 15,
	F_STATUS = 16,
};

#define BIT(n)       (1UL << (n))
#define CONFIG_BYTES 12
#define HEADER_BYTES 12 /* struct virtio_net_hdr, section 5.1.6 */

const struct front_class net_class = {
	.device_id = ID,
	.features = BIT(F_CSUM) | BIT(F_GUEST_CSUM) | BIT(F_MTU) | BIT(F_MAC) | BIT(F_GUEST_TSO4) | BIT(F_GUEST_TSO6) |
	            BIT(F_GUEST_ECN) | BIT(F_GUEST_UFO) | BIT(F_HOST_TSO4) | BIT(F_HOST_TSO6) | BIT(F_HOST_ECN) |
	            BIT(F_HOST_UFO) | BIT(F_MRG_RXBUF) | BIT(F_STATUS),
	.config_bytes = CONFIG_BYTES,
	.queue_size = 256,
	.queue_count = 2,
	.least = { { 0, HEADER_BYTES }, { HEADER_BYTES, 0 } }, /* receive, transmit */
};
