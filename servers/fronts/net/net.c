/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest's network card (virtio 1.2, section 5.1): what of the machine's card the guest may see and use. */
#include <base/lib.h>
#include <base/server.h>
#include <class/net.h>

#include "../lib/front.h"

#define BIT(feature) (1UL << NET_F_##feature)

const struct front front = {
	.device_id = 1,
	/*
	 * Checksum and segmentation offloads only say what may stand in the header of a packet, which passes through;
	 * all that needs the control queue stays out.
	 */
	.features = BIT(CSUM) | BIT(GUEST_CSUM) | BIT(MTU) | BIT(MAC) | BIT(GUEST_TSO4) | BIT(GUEST_TSO6) |
	            BIT(GUEST_ECN) | BIT(GUEST_UFO) | BIT(HOST_TSO4) | BIT(HOST_TSO6) | BIT(HOST_ECN) | BIT(HOST_UFO) |
	            BIT(MRG_RXBUF) | BIT(STATUS),
	.config_bytes = sizeof(struct net_config),
	.queue_size = 256,
	.least = { [NET_RECEIVE] = { 0, sizeof(struct net_header) },
	           [NET_TRANSMIT] = { sizeof(struct net_header), 0 } },
};

int l4_main(void *arg)
{
	static struct net_device card;

	l4_server_check();
	net_open(&card);
	front_serve(card.features, NET_QUEUES, card.buffers, &card.config);
}
