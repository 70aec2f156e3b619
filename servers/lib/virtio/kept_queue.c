/* SPDX-License-Identifier: BSD-2-Clause */
/* Drive a device's split ring so that the program's next life can go on with it. */
#include <base/lib.h>
#include <hardened/seal.h>
#include <l4/arch.h>
#include <virtio/descriptor.h>
#include <virtio/kept_queue.h>

#define MARK 0x4b657074UL

/* A note: token in bits 0 to 7, done in bit 8, bytes written in bits 16 to 47, and a check of these in 48 to 63. */
#define NOTE_DONE    0x100UL
#define NOTE_WRITTEN 16
#define NOTE_CHECK   48
#define CHECKED      ((1UL << NOTE_CHECK) - 1)

/* The record is behind the ring in the first page; tables follow in the pages after it. */
#define RECORD_OFFSET(size) ((VRING_BYTES(size) + 63) & ~63UL)

_Static_assert(RECORD_OFFSET(KEPT_LONGEST) + sizeof(struct kept_record) <= L4_PAGE_SIZE, "ring and record fit a page");
_Static_assert(KEPT_TOKENS % KEPT_SLOTS == 0 && KEPT_SLOTS < 32, "tokens and slots go around together");

size_t kept_queue_bytes(void) { return L4_PAGE_SIZE + KEPT_SLOTS * sizeof(struct vring_desc[KEPT_LONGEST]); }

void kept_queue_place(struct kept_queue *queue, void *memory, u64 paddr, u16 size, volatile u16 *doorbell)
{
	char *page = memory;

	*queue = (struct kept_queue){
		.desc = memory,
		.avail = (void *)(page + VRING_AVAIL_OFFSET(size)),
		.used = (void *)(page + VRING_USED_OFFSET(size)),
		.record = (void *)(page + RECORD_OFFSET(size)),
		.tables = (void *)(page + L4_PAGE_SIZE),
		.desc_paddr = paddr,
		.avail_paddr = paddr + VRING_AVAIL_OFFSET(size),
		.used_paddr = paddr + VRING_USED_OFFSET(size),
		.tables_paddr = paddr + L4_PAGE_SIZE,
		.doorbell = doorbell,
		.size = size,
	};
}

void kept_queue_clear(struct kept_queue *queue)
{
	kept_queue_drop(queue);
	memset(queue->desc, 0, L4_PAGE_SIZE);
	queue->avail_idx = queue->used_idx = 0;
	queue->out = queue->again = 0;
}

static u64 valid_word(const struct kept_queue *queue) { return MARK << 16 | queue->size; }

void kept_queue_keep(struct kept_queue *queue) { l4_store_release(&queue->record->valid, valid_word(queue)); }

void kept_queue_drop(struct kept_queue *queue) { l4_store_release(&queue->record->valid, 0); }

bool kept_queue_is_kept(const struct kept_queue *queue)
{
	return l4_load_acquire(&queue->record->valid) == valid_word(queue);
}

static u64 note_of(u16 token, bool done, u32 written)
{
	u64 note = token % KEPT_TOKENS | (done ? NOTE_DONE : 0) | (u64)written << NOTE_WRITTEN;

	return note | seal_add(SEAL_START, note) >> NOTE_CHECK << NOTE_CHECK;
}

static bool note_fits(u64 note) { return seal_add(SEAL_START, note & CHECKED) >> NOTE_CHECK == note >> NOTE_CHECK; }

static u16 note_token(u64 note) { return note % KEPT_TOKENS; }

static u64 note_read(const struct kept_queue *queue, unsigned int slot)
{
	return l4_read_once(queue->record->note[slot % KEPT_SLOTS]);
}

/* How many slots a set has; CPUs need not have an instruction for that. */
static u16 slots_in(u32 set)
{
	u16 count = 0;

	for (; set; set &= set - 1)
		count++;
	return count;
}

/* Sum of all descriptors of a slot as they are now. */
static u64 slot_sum(const struct kept_queue *queue, unsigned int slot)
{
	u32 bytes = l4_read_once(queue->desc[slot].len), i;
	u64 sum = descriptor_sum(&queue->desc[slot]);

	for (i = 0; i < bytes / sizeof(struct vring_desc) && i < KEPT_LONGEST; i++)
		sum += descriptor_sum(&queue->tables[slot][i]);
	return sum;
}

static bool slot_is_whole(const struct kept_queue *queue, unsigned int slot)
{
	return slot_sum(queue, slot) == l4_read_once(queue->record->sum[slot]);
}

/* Take over one request that the device was shown: it is number n, and has this token. */
static bool resume_one(struct kept_queue *queue, u16 n, u16 token)
{
	unsigned int slot = n % KEPT_SLOTS;
	u64 note = note_read(queue, slot);

	if (!note || !note_fits(note) || note_token(note) != token % KEPT_TOKENS)
		return false;
	if (note & NOTE_DONE) {
		queue->again |= 1U << slot;
		return true;
	}
	queue->out |= 1U << slot;
	return slot_is_whole(queue, slot) && l4_read_once(queue->avail->ring[n % queue->size]) == slot;
}

/* Whether all that the device has given back and nobody has taken is out, each request once. */
static bool completions_fit(const struct kept_queue *queue)
{
	u16 end = l4_load_acquire(&queue->used->idx), at;
	u32 out = queue->out, slot;

	for (at = queue->used_idx; at != end; at++) {
		slot = l4_read_once(queue->used->ring[at % queue->size].id);
		if (slot >= KEPT_SLOTS || !(out & 1U << slot))
			return false;
		out &= ~(1U << slot);
	}
	return true;
}

int kept_queue_resume(struct kept_queue *queue, u16 first)
{
	u16 shown = l4_load_acquire(&queue->avail->idx), count = 0, i;
	u64 last = note_read(queue, (u16)(shown - 1));

	if (!kept_queue_is_kept(queue))
		return -1;
	if (last)
		count = (u16)(note_token(last) + 1 - first) % KEPT_TOKENS;
	if (count > KEPT_REQUESTS || (!last && shown))
		return -1;
	queue->out = queue->again = 0;
	for (i = 0; i < count; i++)
		if (!resume_one(queue, (u16)(shown - count + i), (u16)(first + i)))
			return -1;
	queue->avail_idx = shown;
	queue->used_idx = (u16)(shown - slots_in(queue->out));
	if (!completions_fit(queue))
		return -1;
	/* The driver asks for all interrupts, always: a flag that says otherwise is a stray store's. */
	l4_write_once(queue->avail->flags, 0);
	kept_queue_ring(queue);
	return count;
}

void kept_queue_add(struct kept_queue *queue, const struct dma_buffer *buffers, u16 count, u16 token)
{
	unsigned int slot = queue->avail_idx % KEPT_SLOTS;
	struct vring_desc head = {
		.addr = queue->tables_paddr + slot * sizeof(queue->tables[0]),
		.len = count * sizeof(head),
		.flags = VRING_DESC_INDIRECT,
	};
	u64 sum = descriptor_sum(&head);
	u16 i;

	if (queue->out & 1U << slot)
		l4_die("slot %u is in use", slot);
	queue->desc[slot] = head;
	for (i = 0; i < count; i++)
		sum += descriptor_put(&queue->tables[slot][i], &buffers[i], i + 1 == count, i + 1);
	queue->record->sum[slot] = sum;
	l4_write_once(queue->record->note[slot], note_of(token, false, 0));
	queue->out |= 1U << slot;
	queue->avail->ring[queue->avail_idx++ % queue->size] = (u16)slot;
}

bool kept_queue_holds(const struct kept_queue *queue, const struct dma_buffer *buffers, u16 count)
{
	u16 last = (u16)(queue->avail_idx - 1), i;
	unsigned int slot = last % KEPT_SLOTS;
	const struct vring_desc *head = &queue->desc[slot];

	if (l4_read_once(queue->avail->ring[last % queue->size]) != slot ||
	    l4_read_once(head->flags) != VRING_DESC_INDIRECT || l4_read_once(head->len) != count * sizeof(*head) ||
	    l4_read_once(head->addr) != queue->tables_paddr + slot * sizeof(queue->tables[0]))
		return false;
	for (i = 0; i < count; i++)
		if (!descriptor_is(&queue->tables[slot][i], &buffers[i], i + 1 == count) ||
		    (i + 1 < count && l4_read_once(queue->tables[slot][i].next) != i + 1))
			return false;
	return true;
}

void kept_queue_kick(struct kept_queue *queue)
{
	l4_store_release(&queue->avail->idx, queue->avail_idx);
	l4_mb(); /* before the flag is read, and before the doorbell */
	if (!(l4_read_once(queue->used->flags) & VRING_USED_NO_NOTIFY))
		kept_queue_ring(queue);
}

/* The device's only queue has number 0. */
void kept_queue_ring(struct kept_queue *queue) { *queue->doorbell = 0; }

bool kept_queue_done(const struct kept_queue *queue)
{
	return queue->again || l4_load_acquire(&queue->used->idx) != queue->used_idx;
}

/* Take a request that a former life knew to be done. */
static void get_again(struct kept_queue *queue, u16 *token, u32 *written)
{
	unsigned int slot = 0;
	u64 note;

	while (!(queue->again & 1U << slot))
		slot++;
	note = note_read(queue, slot);
	if (!note_fits(note) || !(note & NOTE_DONE))
		l4_die("note of slot %u was changed", slot);
	queue->again &= queue->again - 1;
	*token = note_token(note);
	*written = (u32)(note >> NOTE_WRITTEN);
}

bool kept_queue_get(struct kept_queue *queue, u16 *token, u32 *written)
{
	u32 slot;
	u64 note;

	if (!kept_queue_done(queue))
		return false;
	if (queue->again) {
		get_again(queue, token, written);
		return true;
	}
	slot = l4_read_once(queue->used->ring[queue->used_idx % queue->size].id);
	*written = l4_read_once(queue->used->ring[queue->used_idx % queue->size].len);
	if (slot >= KEPT_SLOTS || !(queue->out & 1U << slot))
		l4_die("device returned request %u, which it does not have", slot);
	note = note_read(queue, slot);
	if (!note_fits(note) || (note & NOTE_DONE))
		l4_die("note of slot %u was changed", slot);
	/* If a stray store changed a descriptor, the device may have done something else than it was asked to. */
	if (!slot_is_whole(queue, slot))
		l4_die("descriptors of slot %u were changed", slot);
	*token = note_token(note);
	queue->used_idx++;
	queue->out &= ~(1U << slot);
	l4_write_once(queue->record->note[slot], note_of(*token, true, *written));
	return true;
}

bool kept_queue_sound(const struct kept_queue *queue, u16 count)
{
	unsigned int slot;
	u64 note;

	for (slot = 0; slot < KEPT_SLOTS; slot++) {
		note = note_read(queue, slot);
		if (note && !note_fits(note))
			return false;
		if ((queue->out & 1U << slot) && (!note || (note & NOTE_DONE)))
			return false;
	}
	return kept_queue_is_kept(queue) && l4_read_once(queue->avail->idx) == queue->avail_idx &&
	       slots_in(queue->out) == count;
}
