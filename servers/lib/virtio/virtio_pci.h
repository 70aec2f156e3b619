/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of a modern virtio PCI device (virtio 1.2, section 4.1.4), where the root pager has mapped them.
 */
#ifndef VIRTIO_PCI_H
#define VIRTIO_PCI_H

#include <abi_servers.h>
#include <virtio/virtqueue.h>

struct virtio_pci {
	volatile u8 *common;
	volatile u8 *notify;
	volatile u8 *device;
	volatile u8 *isr; /* NULL: interrupts are messages, and there is nothing to take back */
	u64 notify_multiplier;
};

/* A queue, as the device's registers say it: addresses are physical ones. */
struct virtio_pci_queue {
	u16 size;
	u64 desc, avail, used;
};

void virtio_pci_init(struct virtio_pci *pci, const struct l4_server_info *info);

/* Stop the device; on return it touches no memory any more. */
void virtio_pci_reset(struct virtio_pci *pci);
u64 virtio_pci_features(struct virtio_pci *pci);
void virtio_pci_config(struct virtio_pci *pci, u8 *to, u32 bytes);

/* Status bits up to FEATURES_OK; false when the device refuses these features. */
bool virtio_pci_negotiate(struct virtio_pci *pci, u64 features);

/* Size that the device offers for a queue, at most VIRTQUEUE_MAX; 0: no such queue. */
u16 virtio_pci_queue_size(struct virtio_pci *pci, u16 number);

/* Set up queue number in memory at paddr and enable it; of interrupts that are messages, it has the first. */
void virtio_pci_queue(struct virtio_pci *pci, struct virtqueue *queue, u16 number, u16 size, void *memory, u64 paddr);

/* The same for a ring that the caller keeps itself. */
void virtio_pci_enable_queue(struct virtio_pci *pci, u16 number, const struct virtio_pci_queue *queue);
volatile u16 *virtio_pci_doorbell(struct virtio_pci *pci, u16 number);

void virtio_pci_start(struct virtio_pci *pci);

/* Whether the device runs: started, and not in need of a reset. */
bool virtio_pci_runs(struct virtio_pci *pci);

/* After an interrupt and before its ACK: a line is taken back, and what the device wrote before it is read after this.
 */
void virtio_pci_interrupt(struct virtio_pci *pci);

#endif
