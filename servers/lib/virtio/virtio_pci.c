/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Registers of a modern virtio PCI device. One device's registers are read and written in the program's order; between
 * them and memory only l4_mb() keeps order.
 */
#include <l4/arch.h>
#include <base/lib.h>
#include <base/resource.h>
#include <virtio/virtio_pci.h>

/* struct virtio_pci_common_cfg, section 4.1.4.3. */
enum {
	DEVICE_FEATURE_SELECT = 0,
	DEVICE_FEATURE = 4,
	DRIVER_FEATURE_SELECT = 8,
	DRIVER_FEATURE = 12,
	CONFIG_MSIX_VECTOR = 16,
	DEVICE_STATUS = 20,
	CONFIG_GENERATION = 21,
	QUEUE_SELECT = 22,
	QUEUE_SIZE = 24,
	QUEUE_MSIX_VECTOR = 26,
	QUEUE_ENABLE = 28,
	QUEUE_NOTIFY_OFF = 30,
	QUEUE_DESC = 32,
	QUEUE_DRIVER = 40,
	QUEUE_DEVICE = 48,
};

#define NO_VECTOR   0xffff
#define RESET_TRIES 10000000

static u8 read8(struct virtio_pci *pci, unsigned int at) { return pci->common[at]; }

static void write8(struct virtio_pci *pci, unsigned int at, u8 value) { pci->common[at] = value; }

static u16 read16(struct virtio_pci *pci, unsigned int at) { return *(volatile u16 *)(pci->common + at); }

static void write16(struct virtio_pci *pci, unsigned int at, u16 value) { *(volatile u16 *)(pci->common + at) = value; }

static u32 read32(struct virtio_pci *pci, unsigned int at) { return *(volatile u32 *)(pci->common + at); }

static void write32(struct virtio_pci *pci, unsigned int at, u32 value) { *(volatile u32 *)(pci->common + at) = value; }

/* Section 4.1.3.1: 64-bit fields as two of 32 bits. */
static void write64(struct virtio_pci *pci, unsigned int at, u64 value)
{
	write32(pci, at, (u32)value);
	write32(pci, at + 4, (u32)(value >> 32));
}

/* Where registers of a type are; the root pager gives all of them to the driver of a virtio device. */
static volatile u8 *registers(const struct l4_server_info *info, unsigned int type)
{
	return (volatile u8 *)resource_registers(info, type)->vaddr;
}

void virtio_pci_init(struct virtio_pci *pci, const struct l4_server_info *info)
{
	const struct l4_resource *interrupt = resource_first(info, L4_RESOURCE_INTERRUPT);

	pci->common = registers(info, L4_REGISTERS_VIRTIO_COMMON);
	pci->notify = registers(info, L4_REGISTERS_VIRTIO_NOTIFY);
	pci->device = registers(info, L4_REGISTERS_VIRTIO_DEVICE);
	pci->isr = interrupt->flags & L4_RESOURCE_FLAG_LINE ? registers(info, L4_REGISTERS_VIRTIO_ISR) : NULL;
	pci->notify_multiplier = resource_registers(info, L4_REGISTERS_VIRTIO_NOTIFY)->data;
}

void virtio_pci_reset(struct virtio_pci *pci)
{
	unsigned int i;

	write8(pci, DEVICE_STATUS, 0);
	for (i = 0; read8(pci, DEVICE_STATUS); i++)
		if (i == RESET_TRIES)
			l4_die("device does not reset");
	l4_mb();
}

u64 virtio_pci_features(struct virtio_pci *pci)
{
	u64 features;

	write32(pci, DEVICE_FEATURE_SELECT, 0);
	features = read32(pci, DEVICE_FEATURE);
	write32(pci, DEVICE_FEATURE_SELECT, 1);
	return features | (u64)read32(pci, DEVICE_FEATURE) << 32;
}

void virtio_pci_config(struct virtio_pci *pci, u8 *to, u32 bytes)
{
	u8 generation;
	u32 i;

	do {
		generation = read8(pci, CONFIG_GENERATION);
		for (i = 0; i < bytes; i++)
			to[i] = pci->device[i];
	} while (read8(pci, CONFIG_GENERATION) != generation);
}

bool virtio_pci_negotiate(struct virtio_pci *pci, u64 features)
{
	u8 status = VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER;

	write8(pci, DEVICE_STATUS, status);
	write32(pci, DRIVER_FEATURE_SELECT, 0);
	write32(pci, DRIVER_FEATURE, (u32)features);
	write32(pci, DRIVER_FEATURE_SELECT, 1);
	write32(pci, DRIVER_FEATURE, (u32)(features >> 32));
	write8(pci, DEVICE_STATUS, status | VIRTIO_STATUS_FEATURES_OK);
	write16(pci, CONFIG_MSIX_VECTOR, NO_VECTOR);
	return read8(pci, DEVICE_STATUS) & VIRTIO_STATUS_FEATURES_OK;
}

u16 virtio_pci_queue_size(struct virtio_pci *pci, u16 number)
{
	u16 size;

	write16(pci, QUEUE_SELECT, number);
	size = read16(pci, QUEUE_SIZE);
	if (size > VIRTQUEUE_MAX)
		size = VIRTQUEUE_MAX;
	while (size & (size - 1))
		size &= size - 1;
	return size;
}

volatile u16 *virtio_pci_doorbell(struct virtio_pci *pci, u16 number)
{
	write16(pci, QUEUE_SELECT, number);
	return (volatile u16 *)(pci->notify + read16(pci, QUEUE_NOTIFY_OFF) * pci->notify_multiplier);
}

static u16 vector_of(const struct virtio_pci *pci) { return pci->isr ? NO_VECTOR : 0; }

void virtio_pci_enable_queue(struct virtio_pci *pci, u16 number, const struct virtio_pci_queue *queue)
{
	write16(pci, QUEUE_SELECT, number);
	write16(pci, QUEUE_SIZE, queue->size);
	write16(pci, QUEUE_MSIX_VECTOR, vector_of(pci));
	if (!pci->isr && read16(pci, QUEUE_MSIX_VECTOR) != vector_of(pci))
		l4_die("device has no interrupt for queue %u", number);
	write64(pci, QUEUE_DESC, queue->desc);
	write64(pci, QUEUE_DRIVER, queue->avail);
	write64(pci, QUEUE_DEVICE, queue->used);
	l4_mb(); /* the ring is in memory */
	write16(pci, QUEUE_ENABLE, 1);
}

void virtio_pci_queue(struct virtio_pci *pci, struct virtqueue *queue, u16 number, u16 size, void *memory, u64 paddr)
{
	struct virtio_pci_queue registers = { .size = size };

	virtqueue_init(queue, memory, paddr, number, size, virtio_pci_doorbell(pci, number));
	registers.desc = queue->desc_paddr;
	registers.avail = queue->avail_paddr;
	registers.used = queue->used_paddr;
	virtio_pci_enable_queue(pci, number, &registers);
}

void virtio_pci_start(struct virtio_pci *pci)
{
	write8(pci, DEVICE_STATUS, read8(pci, DEVICE_STATUS) | VIRTIO_STATUS_DRIVER_OK);
}

bool virtio_pci_runs(struct virtio_pci *pci)
{
	u8 status = read8(pci, DEVICE_STATUS);

	return (status & VIRTIO_STATUS_DRIVER_OK) && !(status & VIRTIO_STATUS_NEEDS_RESET);
}

void virtio_pci_interrupt(struct virtio_pci *pci)
{
	/* Reading takes the line back (section 4.1.4.5). */
	if (pci->isr)
		(void)*pci->isr;
	l4_mb();
}
