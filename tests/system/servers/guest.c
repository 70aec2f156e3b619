/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A small guest in Linux's place: it drives three virtio devices, and a folder's if there is one, and prints "ok ..." or
 * "not ok ..." on the console. Then it obeys what is typed: q power off; p panic; f fault; o offer buffers that overlap; d read the disk again;
 * w let the host's writer rewrite rings and device pages; anything else is echoed.
 */
#include <abi_servers.h>
#include <l4/invoke.h>
#include <base/lib.h>
#include <virtio/virtqueue.h>

#define GPA(pointer) ((u64)(pointer) - L4_GUEST_RAM_VADDR)
#define REQUESTS     32
#define QUEUES       4 /* most of a device that it uses; REQUESTS are divided among them */
#ifndef ROUNDS
#define ROUNDS 50
#endif
#define BLOCK_BYTES  4096
#define FRAME_BYTES  60
#define HEADER_BYTES 12
#define STATUS_READY 15

/* As in orchestration/build/system.py. */
enum { DEVICE_CONSOLE, DEVICE_BLOCK, DEVICE_NET, DEVICE_FOLDER, DEVICES };

static struct l4_vcpu_page *vcpu;
static struct virtqueue queues[DEVICES][QUEUES];
static char rings[DEVICES][QUEUES][16384] __attribute__((aligned(4096)));
static u16 doorbell;

static struct {
	u32 type, reserved;
	u64 sector;
} headers[REQUESTS];
static u8 results[REQUESTS];
static u8 blocks[REQUESTS][BLOCK_BYTES] __attribute__((aligned(4096)));
static u8 pattern[BLOCK_BYTES] __attribute__((aligned(4096)));
static u8 frames[8][2048], frame[HEADER_BYTES + FRAME_BYTES];

void guest_main(struct l4_vcpu_page *page, void *dtb, u64 wallclock);
int l4_main(void *info) { return 0; } /* lib.c needs one; this program does not start there */

static struct l4_virtio_page *device(unsigned int n)
{
	return (void *)(L4_GUEST_RAM_VADDR + L4_GUEST_DEVICE_GPA + n * (u64)L4_PAGE_SIZE);
}

static void set_status(unsigned int n, u32 status)
{
	l4_write_once(device(n)->status, status);
	l4_signal(L4_GUEST_SLOT_KICK + n);
	while (l4_read_once(device(n)->status_ack) != status)
		l4_yield();
}

static unsigned int queues_of(unsigned int n)
{
	u32 count = l4_read_once(device(n)->queue_count);

	return count < QUEUES ? count : QUEUES;
}

static void connect(unsigned int n, u16 size)
{
	struct l4_virtio_page *page = device(n);
	unsigned int i;

	set_status(n, 0);
	set_status(n, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER);
	page->driver_features = page->device_features & ~(VIRTIO_F_INDIRECT_DESC | VIRTIO_F_EVENT_IDX);
	set_status(n, STATUS_READY & ~VIRTIO_STATUS_DRIVER_OK);
	for (i = 0; i < queues_of(n); i++) {
		struct virtqueue *queue = &queues[n][i];

		virtqueue_init(queue, rings[n][i], GPA(rings[n][i]), (u16)i, size, &doorbell);
		page->queue[i].size = size;
		page->queue[i].desc = queue->desc_paddr;
		page->queue[i].driver = queue->avail_paddr;
		page->queue[i].device = queue->used_paddr;
		page->queue[i].ready = 1;
	}
	set_status(n, STATUS_READY);
}

static void kick(unsigned int n, unsigned int queue)
{
	virtqueue_kick(&queues[n][queue]);
	l4_signal(L4_GUEST_SLOT_KICK + n);
}

/* Sleeps until the queue has an entry. Only an interrupt ends the sleep, so a lost one is noticed. */
static u32 wait(unsigned int n, unsigned int queue, u16 *token)
{
	u32 written;

	for (;;) {
		l4_write_once(vcpu->pending, 0);
		__atomic_exchange_n(&vcpu->events.word[0], 0, __ATOMIC_SEQ_CST);
		if (virtqueue_get(&queues[n][queue], token, &written))
			return written;
		l4_vcpu_wait();
	}
}

static void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void say(const char *format, ...)
{
	static char text[256];
	struct dma_buffer buffer = { GPA(text), 0, false };
	va_list args;
	u16 token;

	va_start(args, format);
	buffer.bytes = (u32)l4_vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	virtqueue_add(&queues[DEVICE_CONSOLE][1], &buffer, 1, 0);
	kick(DEVICE_CONSOLE, 1);
	wait(DEVICE_CONSOLE, 1, &token);
}

static void result(bool good, const char *what) { say("%s %s\n", good ? "ok" : "not ok", what); }

/* Request i goes to the queue whose turn it is. */
static void add_block(unsigned int i, u32 type, u64 sector)
{
	struct dma_buffer buffers[3] = { { GPA(&headers[i]), sizeof(headers[i]), false },
	                                 { GPA(blocks[i]), BLOCK_BYTES, type == 0 },
	                                 { GPA(&results[i]), 1, true } };

	headers[i].type = type;
	headers[i].sector = sector;
	results[i] = 0xff;
	virtqueue_add(&queues[DEVICE_BLOCK][i % queues_of(DEVICE_BLOCK)], buffers, 3, (u16)i);
}

static bool do_block(u32 type, u64 sector)
{
	u16 token;

	add_block(0, type, sector);
	kick(DEVICE_BLOCK, 0);
	wait(DEVICE_BLOCK, 0, &token);
	return results[0] == 0;
}

/* Block i of the disk begins with the number i: the host has prepared it so. */
static bool many_blocks(void)
{
	unsigned int count = queues_of(DEVICE_BLOCK), round, i;
	bool good = true;
	u16 token;

	for (round = 0; round < ROUNDS; round++) {
		for (i = 0; i < REQUESTS; i++)
			add_block(i, 0, 8UL * (round * REQUESTS + i));
		for (i = 0; i < count; i++)
			kick(DEVICE_BLOCK, i);
		for (i = 0; i < REQUESTS; i++) {
			wait(DEVICE_BLOCK, i % count, &token);
			good &= results[token] == 0 && *(u32 *)blocks[token] == round * REQUESTS + token;
		}
	}
	return good;
}

static void test_block(void)
{
	const u64 last = 8UL * ROUNDS * REQUESTS;
	unsigned int i;
	bool good;

	connect(DEVICE_BLOCK, 128);
	say("disk has %u queues\n", queues_of(DEVICE_BLOCK));
	for (i = 0; i < BLOCK_BYTES; i++)
		pattern[i] = (u8)(i * 7 + 1);
	memcpy(blocks[0], pattern, BLOCK_BYTES);
	good = do_block(1, last);
	memset(blocks[0], 0, BLOCK_BYTES);
	result(good && do_block(0, last) && !memcmp(blocks[0], pattern, BLOCK_BYTES), "block write and read");
	result(many_blocks(), "blocks in flight");
}

/* The answer of the emulator's gateway to an ARP request. */
static void test_net(void)
{
	static const u8 request[] = { 8, 6, 0, 1, 8, 0, 6, 4, 0, 1 };
	const u8 *mac = device(DEVICE_NET)->config;
	u8 *packet = frame + HEADER_BYTES;
	struct dma_buffer out = { GPA(frame), sizeof(frame), false };
	unsigned int i, answers = 0;
	u16 token;

	connect(DEVICE_NET, 256);
	for (i = 0; i < 8; i++) {
		struct dma_buffer in = { GPA(frames[i]), sizeof(frames[i]), true };

		virtqueue_add(&queues[DEVICE_NET][0], &in, 1, (u16)i);
	}
	kick(DEVICE_NET, 0);
	memset(packet, 0xff, 6);
	memcpy(packet + 6, mac, 6);
	memcpy(packet + 12, request, sizeof(request));
	memcpy(packet + 22, mac, 6);
	memcpy(packet + 28, (u8[]){ 10, 0, 2, 15 }, 4);
	memcpy(packet + 38, (u8[]){ 10, 0, 2, 2 }, 4);
	for (i = 0; i < 4; i++) {
		virtqueue_add(&queues[DEVICE_NET][1], &out, 1, 0);
		kick(DEVICE_NET, 1);
		wait(DEVICE_NET, 1, &token);
		wait(DEVICE_NET, 0, &token);
		answers += frames[token][HEADER_BYTES + 13] == 6 && frames[token][HEADER_BYTES + 21] == 2;
	}
	result(answers == 4, "packets out and in");
}

/* Sends a request outside of our memory: the server stops the device until we reset it. */
static void test_bad_request(void)
{
	struct dma_buffer bad = { 1UL << 40, 16, false };

	virtqueue_add(&queues[DEVICE_BLOCK][0], &bad, 1, 0);
	kick(DEVICE_BLOCK, 0);
	/* A server that suspects an error of its own dies first, and its next life refuses the request. */
	while (!l4_read_once(device(DEVICE_BLOCK)->needs_reset))
		l4_yield();
	result(true, "bad request refused");
	connect(DEVICE_BLOCK, 128);
	result(do_block(0, 8) && *(u32 *)blocks[0] == 1, "disk after a reset");
}

/* Messages of 9P2000.L: type, and what a guest without files has for a tag. */
enum { TVERSION = 100, RVERSION = 101, TWALK = 110, NO_TAG = 0xffff };
#define P9_MESSAGE_BYTES 8192

static struct {
	u32 size;
	u8 type;
	u16 tag;
	u32 message_bytes;
	u16 version_bytes;
	char version[8];
} __attribute__((packed)) hello;
static u8 answer[512];

/* Asks which version the server of the folder speaks. */
static bool ask_folder(void)
{
	struct dma_buffer buffers[2] = { { GPA(&hello), sizeof(hello), false }, { GPA(answer), sizeof(answer), true } };
	u16 token;
	u32 written;

	hello.size = sizeof(hello);
	hello.type = TVERSION;
	hello.tag = NO_TAG;
	hello.message_bytes = P9_MESSAGE_BYTES;
	hello.version_bytes = sizeof(hello.version);
	memcpy(hello.version, "9P2000.L", sizeof(hello.version));
	memset(answer, 0, sizeof(answer));
	virtqueue_add(&queues[DEVICE_FOLDER][0], buffers, 2, 0);
	kick(DEVICE_FOLDER, 0);
	written = wait(DEVICE_FOLDER, 0, &token);
	return written == sizeof(hello) && answer[4] == RVERSION && !memcmp(answer + 13, hello.version, 8);
}

/* The server has refused what the folder's queue has, and serves again after a reset. */
static bool folder_refused(void)
{
	while (!l4_read_once(device(DEVICE_FOLDER)->needs_reset))
		l4_yield();
	connect(DEVICE_FOLDER, 128);
	return ask_folder();
}

/* A request that no folder's server may pass on: one buffer, or two. */
static bool refuses(struct dma_buffer first, struct dma_buffer second)
{
	struct dma_buffer both[2] = { first, second };

	virtqueue_add(&queues[DEVICE_FOLDER][0], both, second.bytes ? 2 : 1, 0);
	kick(DEVICE_FOLDER, 0);
	return folder_refused();
}

/* A ring written by hand: descriptor 0, the number of the request's first descriptor, and how many there are. */
static bool refuses_ring(struct vring_desc desc, u16 head, u16 count)
{
	struct virtqueue *queue = &queues[DEVICE_FOLDER][0];

	queue->desc[0] = desc;
	queue->avail->ring[queue->avail_idx % queue->size] = head;
	l4_store_release(&queue->avail->idx, (u16)(queue->avail_idx + count));
	l4_signal(L4_GUEST_SLOT_KICK + DEVICE_FOLDER);
	return folder_refused();
}

static void test_bad_descriptors(void)
{
	const struct dma_buffer out = { GPA(&hello), sizeof(hello), false }, in = { GPA(answer), sizeof(answer), true };
	const struct dma_buffer none = { 0, 0, false };
	const u64 table = GPA(rings[DEVICE_FOLDER][1]);
	struct vring_desc *nested = (void *)rings[DEVICE_FOLDER][1];
	bool good;

	good = refuses(out, none) && refuses(in, none);
	good &= refuses(out, (struct dma_buffer){ in.addr, 6, true });
	good &= refuses((struct dma_buffer){ out.addr, 6, false }, in);
	good &= refuses((struct dma_buffer){ 1UL << 40, 64, false }, in);
	good &= refuses(out, (struct dma_buffer){ -64UL, 64, true });
	good &= refuses(out, (struct dma_buffer){ in.addr, 0xffffffff, true });
	good &= refuses((struct dma_buffer){ GPA(device(DEVICE_FOLDER)) - 64, 1U << 31, false }, in);
	result(good, "folder refuses bad buffers");
	good = refuses_ring((struct vring_desc){ out.addr, 16, VRING_DESC_NEXT, 0 }, 0, 1);
	good &= refuses_ring((struct vring_desc){ out.addr, 16, VRING_DESC_NEXT, 128 }, 0, 1);
	good &= refuses_ring((struct vring_desc){ out.addr, 16, 0, 0 }, 128, 1);
	good &= refuses_ring((struct vring_desc){ out.addr, 16, 0, 0 }, 0xffff, 1);
	good &= refuses_ring((struct vring_desc){ out.addr, 16, 0, 0 }, 0, 129);
	good &= refuses_ring((struct vring_desc){ out.addr, 16, 0, 0 }, 0, 0xffff);
	good &= refuses_ring((struct vring_desc){ table, 17, VRING_DESC_INDIRECT, 0 }, 0, 1);
	good &= refuses_ring((struct vring_desc){ table, 16, VRING_DESC_INDIRECT | VRING_DESC_NEXT, 0 }, 0, 1);
	good &= refuses_ring((struct vring_desc){ 1UL << 40, 16, VRING_DESC_INDIRECT, 0 }, 0, 1);
	*nested = (struct vring_desc){ table, 16, VRING_DESC_INDIRECT, 0 };
	good &= refuses_ring((struct vring_desc){ table, 16, VRING_DESC_INDIRECT, 0 }, 0, 1);
	*nested = (struct vring_desc){ out.addr, 16, VRING_DESC_NEXT, 0 };
	good &= refuses_ring((struct vring_desc){ table, 16, VRING_DESC_INDIRECT, 0 }, 0, 1);
	result(good, "folder refuses bad rings");
}

/* Messages that the device itself cannot decode or answer: a walk without its fields; an answer without room. */
static void test_bad_messages(void)
{
	static const struct {
		u32 size;
		u8 type;
		u16 tag;
	} __attribute__((packed)) walk = { sizeof(walk), TWALK, 1 };
	bool good;

	good = refuses((struct dma_buffer){ GPA(&walk), sizeof(walk), false },
	               (struct dma_buffer){ GPA(answer), sizeof(answer), true });
	good &= refuses((struct dma_buffer){ GPA(&hello), sizeof(hello), false },
	                (struct dma_buffer){ GPA(answer), sizeof(walk), true });
	result(good, "folder refuses bad messages");
}

static void test_folder(void)
{
	connect(DEVICE_FOLDER, 128);
	result(ask_folder(), "folder answers");
	test_bad_descriptors();
	test_bad_messages();
}

static bool has_folder(void)
{
	return l4_read_once(device(DEVICE_FOLDER)->magic) == L4_VIRTIO_MAGIC && device(DEVICE_FOLDER)->device_id == 9;
}

/* Offers two buffers at one address, which cannot hold what was typed: the console stops until we reset it. */
static void test_overlap(void)
{
	static char place;
	struct dma_buffer both[2] = { { GPA(&place), 1, true }, { GPA(&place), 1, true } };
	bool offered = false;
	u16 token;
	u32 written;

	say("overlap\n");
	while (!l4_read_once(device(DEVICE_CONSOLE)->needs_reset)) {
		if (!offered) {
			virtqueue_add(&queues[DEVICE_CONSOLE][0], both, 2, 0);
			kick(DEVICE_CONSOLE, 0);
		}
		/* A single byte fits. */
		offered = !virtqueue_get(&queues[DEVICE_CONSOLE][0], &token, &written);
		l4_yield();
	}
	connect(DEVICE_CONSOLE, 64);
	result(true, "console after a reset");
}

/*
 * tests/system/attack/writer.c rewrites the page all the time once it has found and cleared the mark. Meanwhile we
 * notify the server and reset the device: the server may refuse us or die, and nothing else may happen.
 */
static void attack(unsigned int n, void *at, u64 kind)
{
	volatile u64 *mark = (u64 *)((char *)at + L4_PAGE_SIZE - 16);
	struct l4_virtio_page *page = device(n);
	unsigned int round, i, k;

	connect(n, 128);
	mark[1] = 0xa77ac4ed00000000 | kind << 8;
	mark[0] = 0xa77ac4ed00000000;
	while (mark[0] == 0xa77ac4ed00000000)
		l4_yield();
	for (round = 0; round < 200; round++) {
		for (i = 0; i < 20; i++)
			l4_signal(L4_GUEST_SLOT_KICK + n);
		for (i = 0; i < 4; i++) {
			static const u32 steps[] = { 0, VIRTIO_STATUS_ACKNOWLEDGE | VIRTIO_STATUS_DRIVER,
			                             STATUS_READY & ~VIRTIO_STATUS_DRIVER_OK, STATUS_READY };

			for (k = 0; i == 3 && k < queues_of(n); k++) {
				page->queue[k].size = 128;
				page->queue[k].desc = queues[n][k].desc_paddr;
				page->queue[k].driver = queues[n][k].avail_paddr;
				page->queue[k].device = queues[n][k].used_paddr;
				page->queue[k].ready = 1;
			}
			l4_write_once(page->status, steps[i]);
			l4_signal(L4_GUEST_SLOT_KICK + n);
			for (k = 0; k < 50 && l4_read_once(page->status_ack) != steps[i]; k++)
				l4_yield();
		}
	}
	say("attacked %lu\n", kind);
}

static void attack_all(void)
{
	attack(DEVICE_BLOCK, rings[DEVICE_BLOCK][0], 1);
	attack(DEVICE_NET, rings[DEVICE_NET][1], 2);
	attack(DEVICE_NET, rings[DEVICE_NET][0], 3);
	attack(DEVICE_BLOCK, device(DEVICE_BLOCK), 4);
	if (!has_folder())
		return;
	attack(DEVICE_FOLDER, rings[DEVICE_FOLDER][0], 5);
	attack(DEVICE_FOLDER, device(DEVICE_FOLDER), 6);
}

static void obey(const char *line, u32 bytes)
{
	static const char text[] = "the test wants it";
	struct l4_msg msg = { .tag = l4_tag(L4_ROOT_POWER_OFF, 1, 0), .words = { 7 } };

	switch (line[0]) {
	case 'q':
		l4_call(L4_GUEST_SLOT_ROOT, &msg);
		break;
	case 'p':
		msg.tag = l4_tag(L4_ROOT_PANIC, (sizeof(text) + 7) / 8, 0);
		memcpy(msg.words, text, sizeof(text));
		l4_call(L4_GUEST_SLOT_ROOT, &msg);
		break;
	case 'o':
		test_overlap();
		break;
	case 'w':
		attack_all();
		break;
	case 'd':
		result(many_blocks(), "blocks again");
		break;
	case 'f':
		__builtin_trap();
	default:
		say("typed: %.*s", (int)bytes, line);
	}
}

void guest_main(struct l4_vcpu_page *page, void *dtb, u64 wallclock)
{
	static char input[64], line[64];
	u32 bytes = 0;
	u16 token;

	vcpu = page;
	connect(DEVICE_CONSOLE, 64);
	result(*(u32 *)dtb == 0xedfe0dd0, "device tree");
	say("wall clock %lu\n", wallclock / 1000000000 + l4_counter() / page->counter_hz);
	say("\x01L is no mark of ours\n");
	test_block();
	if (l4_read_once(device(DEVICE_NET)->magic) == L4_VIRTIO_MAGIC)
		test_net();
	test_bad_request();
	if (has_folder())
		test_folder();
	say("done\n");
	for (;;) {
		struct dma_buffer in = { GPA(input), sizeof(input), true };
		u32 written, i;

		virtqueue_add(&queues[DEVICE_CONSOLE][0], &in, 1, 0);
		kick(DEVICE_CONSOLE, 0);
		written = wait(DEVICE_CONSOLE, 0, &token);
		for (i = 0; i < written; i++) {
			line[bytes++] = input[i];
			if (input[i] == '\n' || bytes == sizeof(line)) {
				obey(line, bytes);
				bytes = 0;
			}
		}
	}
}
