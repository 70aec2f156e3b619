/* SPDX-License-Identifier: BSD-2-Clause */
/* Registers of a modern virtio PCI device (virtio 1.2, section 4.1.4), where the root pager has mapped them.
 */
#ifndef L4_VIRTIO_PCI_H
#define L4_VIRTIO_PCI_H

#include <virtio/virtqueue.h>

struct l4_virtio_pci {
	volatile u8 *common;
	volatile u8 *notify;
	volatile u8 *device;
	volatile u8 *isr; /* NULL: interrupts are messages, and there is nothing to take back */
	u64 notify_multiplier;
};

void l4_virtio_pci_init(struct l4_virtio_pci *pci, const struct l4_server_info *info);

/* Stop the device; on return it touches no memory any more. */
void l4_virtio_pci_reset(struct l4_virtio_pci *pci);
u64 l4_virtio_pci_features(struct l4_virtio_pci *pci);
void l4_virtio_pci_config(struct l4_virtio_pci *pci, u8 *to, u32 bytes);

/* Status bits up to FEATURES_OK; false when the device refuses these features. */
bool l4_virtio_pci_negotiate(struct l4_virtio_pci *pci, u64 features);

/* Size that the device offers for a queue, at most L4_VIRTQUEUE_MAX; 0: no such queue. */
u16 l4_virtio_pci_queue_size(struct l4_virtio_pci *pci, u16 number);

/* Set up queue number in memory at paddr and enable it; of interrupts that are messages, it has the first. */
void l4_virtio_pci_queue(struct l4_virtio_pci *pci, struct l4_virtqueue *queue, u16 number, u16 size, void *memory,
                         u64 paddr);
void l4_virtio_pci_start(struct l4_virtio_pci *pci);

/* Whether the device runs: started, and not in need of a reset. */
bool l4_virtio_pci_runs(struct l4_virtio_pci *pci);

/* After an interrupt and before its ACK: a line is taken back, and what the device wrote before it is read after this.
 */
void l4_virtio_pci_interrupt(struct l4_virtio_pci *pci);

#endif
