/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The two sides of lib/virtio's rings against each other, and the serving side against a guest that writes noise.
 * Guest RAM ends at an unmapped page, so an unchecked address crashes. Usage: rings NAME [SEED]; silence is
 * success.
 */
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <virtio/backend_queue.h>
#include <virtio/virtqueue.h>

#include "host.h"

#define RAM      (2UL << 20)
#define PAGE_GPA 0x1000UL
#define RING_GPA 0x10000UL
#define SIZE     16

unsigned long test_syscalls[32];

static unsigned char *const ram = (unsigned char *)L4_SERVER_GUEST_VADDR;
static struct l4_server_info info = { .resource_count = 2,
                                      .resource = { { .kind = L4_RESOURCE_GUEST_MEMORY, .size = RAM },
	                                            { .kind = L4_RESOURCE_QUEUES, .address = PAGE_GPA } },
                                      .first = { [L4_RESOURCE_QUEUES] = 1 } };
static struct backend backend;
static struct virtqueue driver;
static u16 doorbell;

static void make_ram(void)
{
	expect(mmap(ram, RAM + 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == ram);
	expect(!mprotect(ram, RAM, PROT_READ | PROT_WRITE));
}

static void guest_connects(void)
{
	struct l4_virtio_page *page = (void *)(ram + PAGE_GPA);

	virtqueue_init(&driver, ram + RING_GPA, RING_GPA, 0, SIZE, &doorbell);
	page->driver_features = VIRTIO_F_VERSION_1;
	page->queue[0] = (struct l4_virtio_queue){
		SIZE, SIZE, 1, 0, driver.desc_paddr, driver.avail_paddr, driver.used_paddr, 0
	};
	page->status = 15;
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
	expect(page->status_ack == 15);
}

static void guest_resets(void)
{
	struct l4_virtio_page *page = (void *)(ram + PAGE_GPA);

	expect(page->needs_reset == 1);
	page->status = 0;
	expect(backend_poll(&backend) == BACKEND_STOP);
	backend_done(&backend);
	expect(page->needs_reset == 0);
	page->status = 15;
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
}

static void publish(u64 features, u64 *kept)
{
	backend_init(&backend, &info,
	             &(struct backend_device){ 2, features, .queue_count = 1, .queue_size = SIZE, .config = "",
	                                       .kept = kept });
}

static void start(void)
{
	make_ram();
	publish(0, NULL);
	guest_connects();
}

static void add(unsigned int i)
{
	struct dma_buffer buffers[2] = { { 0x20000 + 0x100 * i, 16 + i, false }, { 0x30000 + 0x100 * i, 32, true } };

	expect(virtqueue_add(&driver, buffers, 2, (u16)i));
}

static void test_round_trip(void)
{
	static struct guest_chain chain;
	unsigned int i, round;
	u32 written;
	u16 token;

	start();
	for (round = 0; round < 30000; round++) {
		for (i = 0; i < SIZE / 2; i++)
			add(i);
		expect(!virtqueue_add(&driver, &(struct dma_buffer){ 0, 1, false }, 1, 0));
		expect(backend_peek(&backend, 0, &chain) == 0);
		virtqueue_kick(&driver);
		for (i = 0; i < SIZE / 2; i++) {
			expect(backend_peek(&backend, 0, &chain) == 1);
			expect(chain.count == 2 && chain.readable == 16 + i && chain.writable == 32);
			expect(chain.buffer[0].gpa == 0x20000 + 0x100 * i && chain.buffer[1].write);
			backend_advance(&backend, 0);
			backend_push(&backend, 0, chain.head, i);
			backend_publish(&backend, 0);
			backend_interrupt(&backend, 0);
		}
		for (i = 0; i < SIZE / 2; i++)
			expect(virtqueue_get(&driver, &token, &written) && token == i && written == i);
		expect(!virtqueue_get(&driver, &token, &written));
	}
}

/* A back end that dies with requests in flight: its successor finds exactly those. */
static void test_restart(void)
{
	static struct guest_chain chain;
	unsigned int i;

	start();
	for (i = 0; i < 5; i++)
		add(i);
	virtqueue_kick(&driver);
	for (i = 0; i < 5; i++) {
		expect(backend_peek(&backend, 0, &chain) == 1);
		backend_advance(&backend, 0);
		if (i < 2)
			backend_push(&backend, 0, chain.head, 0);
	}
	backend_publish(&backend, 0);
	publish(0, NULL);
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
	for (i = 2; i < 5; i++) {
		expect(backend_peek(&backend, 0, &chain) == 1 && chain.readable == 16 + i);
		backend_advance(&backend, 0);
	}
	expect(backend_peek(&backend, 0, &chain) == 0);
}

/* Take all requests and give back so many of them, without showing it. */
static void give_back(unsigned int count)
{
	static struct guest_chain chain;
	unsigned int i;

	for (i = 0; backend_peek(&backend, 0, &chain) == 1; i++) {
		backend_advance(&backend, 0);
		if (i < count)
			backend_push(&backend, 0, chain.head, i);
	}
}

/* This life ends, the next one takes over. */
static void next_life(u64 *kept)
{
	publish(0, kept);
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
}

/* Requests that were given back together are seen together; those that were not shown, the next life does again. */
static void test_batch(void)
{
	static u64 kept[1];
	unsigned int i;
	u32 written;
	u16 token;

	make_ram();
	publish(0, kept);
	guest_connects();
	for (i = 0; i < 5; i++)
		add(i);
	virtqueue_kick(&driver);
	give_back(3);
	expect(!virtqueue_done(&driver));
	next_life(kept);
	give_back(3);
	expect(!virtqueue_done(&driver) && backend_taken(&backend, 0) == 2);
	kept[0] = kept_word(&backend.queue[0], 0, 3); /* about to show them */
	next_life(kept);
	give_back(3);
	backend_publish(&backend, 0);
	backend_interrupt(&backend, 0);
	backend_publish(&backend, 0);
	expect(driver.used->idx == 3 && kept[0] == kept_word(&backend.queue[0], 3, 3));
	for (i = 0; i < 3; i++)
		expect(virtqueue_get(&driver, &token, &written) && token == i && written == i);
	expect(!virtqueue_done(&driver));
}

/* A back end whose last store was a wild one: its successor goes by what was kept, but not for another ring. */
static void wild_end(unsigned int turn)
{
	static struct guest_chain chain;
	static u64 kept[1];
	unsigned int i;

	start();
	for (i = 0; i < 5; i++)
		add(i);
	virtqueue_kick(&driver);
	/* What was kept so far is of the ring as it is. */
	publish(0, kept);
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
	for (i = 0; i < 5; i++) {
		expect(backend_peek(&backend, 0, &chain) == 1);
		backend_advance(&backend, 0);
		if (i < 2)
			backend_push(&backend, 0, chain.head, 0);
	}
	backend_publish(&backend, 0);
	switch (turn) {
	case 0:
		driver.used->idx = 40000;
		break;
	case 1:
		driver.used->idx = 4; /* a plausible value */
		break;
	case 2:
		kept[0] = kept_word(&backend.queue[0], 0, 2); /* died between ring and note */
		break;
	case 3:
		kept[0] ^= 1UL << 40; /* about another ring, or damaged */
		break;
	case 4:
		driver.used->idx = 3; /* one more than were given back */
	}
	publish(0, kept);
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
	expect(driver.used->idx == 2);
	expect(backend_peek(&backend, 0, &chain) == 1 && chain.readable == 16 + 2);
	((struct l4_virtio_page *)(ram + PAGE_GPA))->status = 0;
	expect(backend_poll(&backend) == BACKEND_STOP);
	expect(kept[0] == 0);
}

static void test_wild_end(void)
{
	unsigned int turn;
	int status;

	for (turn = 0; turn < 5; turn++) {
		if (!fork()) {
			wild_end(turn);
			_exit(0);
		}
		expect(wait(&status) > 0 && status == 0);
	}
}

/* One table in memory instead of a chain in the ring; a table in a table is not allowed. */
static void test_indirect(void)
{
	static struct guest_chain chain;
	struct vring_desc *table = (void *)(ram + 0x40000);

	start();
	table[0] = (struct vring_desc){ 0x50000, 16, VRING_DESC_NEXT, 2 };
	table[2] = (struct vring_desc){ RAM - 4096, 4096, VRING_DESC_NEXT | VRING_DESC_WRITE, 1 };
	table[1] = (struct vring_desc){ 0x60000, 1, VRING_DESC_WRITE, 0 };
	driver.desc[3] = (struct vring_desc){ 0x40000, 48, VRING_DESC_INDIRECT, 0 };
	driver.avail->ring[0] = 3;
	driver.avail->idx = 1;
	expect(backend_peek(&backend, 0, &chain) == 1);
	expect(chain.head == 3 && chain.count == 3 && chain.readable == 16 && chain.writable == 4097);
	table[1].next = 0;
	table[1].flags = VRING_DESC_NEXT | VRING_DESC_WRITE;
	table[0].flags |= VRING_DESC_WRITE;
	expect(backend_peek(&backend, 0, &chain) == -1);
	guest_resets();
	table[0].flags = VRING_DESC_INDIRECT;
	expect(backend_peek(&backend, 0, &chain) == -1);
}

#define TABLES_GPA  0x40000UL
#define LONG        40 /* buffers, more than the ring has */
#define LONG_ON_WAY 3

static void add_long(unsigned int token)
{
	static struct dma_buffer buffers[LONG];
	unsigned int i;

	for (i = 0; i < LONG; i++)
		buffers[i] = (struct dma_buffer){ 0x80000 + 0x1000 * i, 64 + token, i >= LONG / 2 };
	expect(virtqueue_add(&driver, buffers, LONG, (u16)token));
}

/* Long requests have tables, and with none left wait, while short ones still fit. */
static void test_tables(void)
{
	static struct guest_chain chain;
	unsigned int round, i;
	u32 written;
	u16 token;

	start();
	virtqueue_tables(&driver, ram + TABLES_GPA, TABLES_GPA, LONG_ON_WAY * sizeof(driver.tables[0]) + 4095);
	expect(virtqueue_longest(&driver) == VIRTQUEUE_LONGEST);
	for (round = 0; round < 1000; round++) {
		for (i = 0; i < LONG_ON_WAY; i++)
			add_long(i);
		expect(!virtqueue_fits(&driver, LONG) && virtqueue_fits(&driver, 2));
		add(LONG_ON_WAY);
		expect(virtqueue_sound(&driver, LONG_ON_WAY + 1));
		virtqueue_kick(&driver);
		for (i = 0; i <= LONG_ON_WAY; i++) {
			expect(backend_peek(&backend, 0, &chain) == 1);
			expect(chain.count == (i < LONG_ON_WAY ? LONG : 2));
			if (i < LONG_ON_WAY)
				expect(chain.buffer[LONG - 1].gpa == 0x80000 + 0x1000 * (LONG - 1) &&
				       chain.readable == LONG / 2 * (64 + i) && chain.writable == chain.readable);
			backend_advance(&backend, 0);
			backend_push(&backend, 0, chain.head, i);
		}
		backend_publish(&backend, 0);
		backend_interrupt(&backend, 0);
		for (i = 0; i <= LONG_ON_WAY; i++)
			expect(virtqueue_get(&driver, &token, &written) && token == i && written == i);
		expect(virtqueue_sound(&driver, 0));
	}
}

/* A descriptor that was changed, in the ring or in a table, is seen before its request passes for done. */
static void test_changed(void)
{
	static struct guest_chain chain;
	unsigned int turn;
	u32 written;
	u16 token;
	int status;

	for (turn = 0; turn < 4; turn++) {
		if (!fork()) {
			start();
			virtqueue_tables(&driver, ram + TABLES_GPA, TABLES_GPA, sizeof(driver.tables[0]));
			if (turn & 1)
				add_long(0);
			else
				add(0);
			virtqueue_kick(&driver);
			expect(backend_peek(&backend, 0, &chain) == 1);
			backend_advance(&backend, 0);
			backend_push(&backend, 0, chain.head, 0);
			backend_publish(&backend, 0);
			if (turn == 2)
				driver.desc[1].len ^= 1;
			if (turn == 3)
				driver.tables[0][LONG - 1].flags ^= VRING_DESC_WRITE;
			virtqueue_get(&driver, &token, &written);
			_exit(0);
		}
		expect(wait(&status) > 0);
		expect(turn < 2 ? status == 0 : WIFSIGNALED(status));
	}
}

/* A word of the serving side that a stray store changed, whichever it is, ends the program before it is used. */
static void test_sealed(void)
{
	static struct guest_chain chain;
	const unsigned int queue_words = offsetof(struct backend_queue, seal) / 8 + 1;
	const unsigned int own_words = offsetof(struct backend, seal) / 8 + 1;
	unsigned int i;
	int status;

	for (i = 0; i <= queue_words + own_words; i++) {
		if (!fork()) {
			start();
			if (i < queue_words)
				((u64 *)&backend.queue[0])[i] ^= 1UL << i;
			else if (i < queue_words + own_words)
				((u64 *)&backend)[i - queue_words] ^= 1UL << (63 - i);
			backend_poll(&backend);
			backend_peek(&backend, 0, &chain);
			_exit(0);
		}
		expect(wait(&status) > 0);
		expect(i == queue_words + own_words ? status == 0 : WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
	}
}

static void test_features(void)
{
	struct l4_virtio_page *page = (void *)(ram + PAGE_GPA);

	make_ram();
	publish(1UL << 9, NULL);
	page->driver_features = VIRTIO_F_VERSION_1 | 1UL << 40;
	page->status = 11;
	expect(backend_poll(&backend) == BACKEND_NONE);
	expect(page->status == 3 && page->status_ack == 3);

	/* Nor may it start the device with them, or with others than those that were agreed on. */
	page->status = 15;
	expect(backend_poll(&backend) == BACKEND_STOP);
	expect(page->needs_reset && !(page->status_ack & VIRTIO_STATUS_FEATURES_OK));
	virtqueue_init(&driver, ram + RING_GPA, RING_GPA, 0, SIZE, &doorbell);
	page->driver_features = VIRTIO_F_VERSION_1 | 1UL << 9;
	guest_resets();
	page->driver_features = ~0UL;
	expect(backend.negotiated == (VIRTIO_F_VERSION_1 | 1UL << 9));
}

static void test_interrupts(void)
{
	start();
	backend_interrupt(&backend, 0);
	expect(test_syscalls[L4_SYS_SIGNAL] == 0);
	backend_push(&backend, 0, 0, 0);
	backend_publish(&backend, 0);
	backend_interrupt(&backend, 0);
	expect(test_syscalls[L4_SYS_SIGNAL] == 1);
	driver.avail->flags = VRING_AVAIL_NO_INTERRUPT;
	backend_push(&backend, 0, 0, 0);
	backend_publish(&backend, 0);
	backend_interrupt(&backend, 0);
	expect(test_syscalls[L4_SYS_SIGNAL] == 1);
}

/* With indices, an interrupt comes when the entry that the guest names has been given back, and only then. */
static void test_event_index(void)
{
	unsigned int i;

	start();
	backend.event_idx = true;
	expect(!backend_kicks(&backend, 0, true));
	expect(*(u16 *)&driver.used->ring[SIZE] == 0);
	driver.avail->ring[SIZE] = 2;
	for (i = 0; i < 6; i++) {
		backend_push(&backend, 0, 0, 0);
		backend_publish(&backend, 0);
		backend_interrupt(&backend, 0);
		expect(test_syscalls[L4_SYS_SIGNAL] == (i >= 2));
	}
	driver.avail->ring[SIZE] = 8;
	for (i = 0; i < 6; i++)
		backend_push(&backend, 0, 0, 0);
	backend_publish(&backend, 0);
	backend_interrupt(&backend, 0);
	expect(test_syscalls[L4_SYS_SIGNAL] == 2);
}

static u64 noise(void) { return (u64)random() << 40 ^ (u64)random() << 20 ^ (u64)random(); }

/* Mostly plausible values, for noise alone never gets far. */
static void scribble(void)
{
	struct vring_desc *desc = (void *)(ram + RING_GPA);
	unsigned int i = (unsigned int)random() % SIZE;

	switch (random() % 8) {
	case 0:
		desc[i].addr = noise();
		break;
	case 1:
		desc[i].addr = noise() % (RAM + 4096);
		break;
	case 2:
		desc[i].len = (u32)(noise() % 8192);
		break;
	case 3:
		desc[i].flags = (u16)random() % 8;
		break;
	case 4:
		desc[i].next = (u16)random() % (SIZE + 2);
		break;
	case 5:
		driver.avail->idx += (u16)random() % 3;
		break;
	case 6:
		driver.avail->ring[i] = (u16)random() % (SIZE + 1);
		break;
	default:
		((u64 *)ram)[noise() % (RAM / 8)] = noise();
	}
}

static void *scribble_for_ever(void *unused)
{
	for (;;)
		scribble();
	return unused;
}

static void check_chain(const struct guest_chain *chain)
{
	bool writable = false;
	unsigned int i;

	expect(chain->head < SIZE && chain->count && chain->count <= CHAIN_MAX);
	for (i = 0; i < chain->count; i++) {
		const struct guest_buffer *buffer = &chain->buffer[i];

		expect(buffer->bytes && buffer->gpa < RAM && buffer->bytes <= RAM - buffer->gpa);
		expect(!writable || buffer->write);
		writable = buffer->write;
	}
}

#define LOOKS 300000

/* The guest writes what it likes, also while we look: no request ever leaves its RAM. */
static void test_noise(void)
{
	static struct guest_chain chain;
	unsigned long i, good = 0;
	pthread_t guest;

	start();
	expect(!pthread_create(&guest, NULL, scribble_for_ever, NULL));
	/* How many requests are whole depends on when the guest's thread runs: usually enough are after the first few. */
	for (i = 0; i < LOOKS || (good <= 1000 && i < 100 * LOOKS); i++) {
		int found = backend_peek(&backend, 0, &chain);

		if (found > 0) {
			check_chain(&chain);
			backend_advance(&backend, 0);
			backend_push(&backend, 0, chain.head, (u32)i);
			backend_publish(&backend, 0);
			backend_interrupt(&backend, 0);
			good++;
		} else {
			struct l4_virtio_page *page = (void *)(ram + PAGE_GPA);

			/* Broken or empty: a reset, and a few good requests to begin with. */
			page->status = 0;
			backend_poll(&backend);
			backend_done(&backend);
			page->driver_features = 0;
			page->queue[0] = (struct l4_virtio_queue){
				SIZE, SIZE, 1, 0, driver.desc_paddr, driver.avail_paddr, driver.used_paddr, 0
			};
			for (unsigned int k = 0; k < SIZE; k++)
				driver.desc[k] =
					(struct vring_desc){ 0x20000 + 0x100 * k, 32, k % 2 ? 2 : 1, (u16)(k + 1) };
			driver.avail->idx = driver.used->idx + 8;
			page->status = 15;
			if (backend_poll(&backend) != BACKEND_NONE)
				backend_done(&backend);
		}
	}
	expect(good > 1000);
}

static const struct {
	const char *name;
	void (*run)(void);
} tests[] = {
	{ "round_trip", test_round_trip }, { "restart", test_restart },       { "wild_end", test_wild_end },
	{ "features", test_features },     { "interrupts", test_interrupts }, { "event_index", test_event_index },
	{ "indirect", test_indirect },     { "tables", test_tables },         { "changed", test_changed },
	{ "sealed", test_sealed },         { "noise", test_noise },           { "batch", test_batch },
};

int main(int argc, char **argv)
{
	unsigned int i;

	srandom(argc > 2 ? (unsigned int)atoi(argv[2]) : 1);
	for (i = 0; argc > 1 && i < sizeof(tests) / sizeof(tests[0]); i++)
		if (!strcmp(argv[1], tests[i].name)) {
			tests[i].run();
			return 0;
		}
	fprintf(stderr, "no such test\n");
	return 2;
}
