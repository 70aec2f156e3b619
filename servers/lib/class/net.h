/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Network cards. The class speaks virtio's formats (virtio 1.2, section 5.1), which the guest speaks anyway: a driver
 * of a virtio card passes requests on as they are, a driver of another card translates.
 *
 * A request is a struct net_header and a packet; in NET_RECEIVE the buffers are empty and the driver fills them, in
 * NET_TRANSMIT they are sent. With checksum and segmentation features the header says what is left to do.
 */
#ifndef CLASS_NET_H
#define CLASS_NET_H

#include <class/driver.h>

#define NET_QUEUES   2
#define NET_RECEIVE  0
#define NET_TRANSMIT 1

/* Feature bits, section 5.1.3. */
enum {
	NET_F_CSUM = 0,
	NET_F_GUEST_CSUM = 1,
	NET_F_MTU = 3,
	NET_F_MAC = 5,
	NET_F_GUEST_TSO4 = 7,
	NET_F_GUEST_TSO6 = 8,
	NET_F_GUEST_ECN = 9,
	NET_F_GUEST_UFO = 10,
	NET_F_HOST_TSO4 = 11,
	NET_F_HOST_TSO6 = 12,
	NET_F_HOST_ECN = 13,
	NET_F_HOST_UFO = 14,
	NET_F_MRG_RXBUF = 15,
	NET_F_STATUS = 16,
};

/* struct virtio_net_hdr, section 5.1.6. */
struct net_header {
	u8 flags, gso_type;
	u16 hdr_len, gso_size, csum_start, csum_offset, num_buffers;
};
_Static_assert(sizeof(struct net_header) == 12, "no gaps");

/* struct virtio_net_config, section 5.1.4. */
struct net_config {
	u8 mac[6];  /* MAC */
	u16 status; /* STATUS */
	u16 pairs;
	u16 mtu; /* MTU */
};
_Static_assert(sizeof(struct net_config) == 12, "no gaps");

struct net_device {
	u64 features; /* 1 << NET_F_...: that the card has */
	u16 buffers;  /* most buffers of a request */
	struct net_config config;
};

/* Find the card, stop it and say what it is. Ends the program if that fails. */
void net_open(struct net_device *card);

#endif
