/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A back end that dies after any instruction, again and again, while it gives packets of several pieces to the guest:
 * whenever the guest looks, it finds whole packets, each in the guest's order. Usage: lives SEED; silence is success.
 */
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <virtio/backend.h>
#include <virtio/virtqueue.h>

#include "host.h"

#define RAM      (1UL << 20)
#define PAGE_GPA 0x1000UL
#define KEPT_GPA 0x2000UL /* what outlives a life; no memory of a guest elsewhere */
#define RING_GPA 0x10000UL
#define DATA_GPA 0x20000UL
#define SIZE     16
#define BUFFERS  12
#define PACKETS  60
#define LONGEST  5 /* pieces of a packet */

unsigned long test_syscalls[32];

static unsigned char *const ram = (unsigned char *)L4_SERVER_GUEST_VADDR;
static struct l4_server_info info = { .resource_count = 2,
                                      .resource = { { .kind = L4_RESOURCE_GUEST_MEMORY, .size = RAM },
	                                            { .kind = L4_RESOURCE_QUEUES, .address = PAGE_GPA } },
                                      .first = { [L4_RESOURCE_QUEUES] = 1 },
                                      .restarts = 1 };
static struct virtqueue driver;
static u16 doorbell;

/* One piece of a packet, in a buffer of the guest. */
struct piece {
	u32 packet, number, count;
};

static struct piece *piece_in(u16 token) { return (void *)(ram + DATA_GPA + token * sizeof(struct piece)); }

/* The guest posts an empty buffer. */
static void post(u16 token)
{
	memset(piece_in(token), 0, sizeof(struct piece));
	expect(virtqueue_add(
		&driver, &(struct dma_buffer){ DATA_GPA + token * sizeof(struct piece), sizeof(struct piece), true }, 1,
		token));
	virtqueue_kick(&driver);
}

static void start(void)
{
	struct l4_virtio_page *page = (void *)(ram + PAGE_GPA);
	u16 i;

	expect(mmap(ram, RAM, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == ram);
	virtqueue_init(&driver, ram + RING_GPA, RING_GPA, 0, SIZE, &doorbell);
	page->driver_features = VIRTIO_F_VERSION_1;
	page->queue[0] = (struct l4_virtio_queue){
		SIZE, SIZE, 1, 0, driver.desc_paddr, driver.avail_paddr, driver.used_paddr, 0
	};
	page->status = 15;
	for (i = 0; i < BUFFERS; i++)
		post(i);
}

/* Receive packets for ever, each into as many buffers as it has pieces. */
static void live(u32 packet)
{
	static struct guest_chain chain;
	static struct backend backend;
	static struct {
		u16 head;
		struct piece *piece;
	} out[SIZE];
	unsigned int first = 0, next = 0, count, i;

	backend_init(&backend, &info,
	             &(struct backend_device){ 1, 0, .queue_count = 1, .queue_size = SIZE, .config = "",
	                                       .kept = (void *)(ram + KEPT_GPA) });
	expect(backend_poll(&backend) == BACKEND_START);
	backend_done(&backend);
	for (;; packet++, first += count) {
		count = 1 + packet % LONGEST;
		while (next - first < count) {
			if (backend_peek(&backend, 0, &chain) != 1)
				continue;
			out[next % SIZE].head = chain.head;
			out[next++ % SIZE].piece = backend_memory(&backend, chain.buffer[0].gpa);
			backend_advance(&backend, 0);
		}
		for (i = 0; i < count; i++)
			*out[(first + i) % SIZE].piece = (struct piece){ packet, i, count };
		for (i = 0; i < count; i++)
			backend_push(&backend, 0, out[(first + i) % SIZE].head, sizeof(struct piece));
		backend_publish(&backend, 0);
		backend_interrupt(&backend, 0);
	}
}

/* The guest takes what is there. Returns the number of packets. */
static unsigned int guest_looks(void)
{
	static u16 due;
	unsigned int found = 0, i;
	struct piece first, *piece;
	u32 written;
	u16 token;

	for (; virtqueue_done(&driver); found++) {
		for (i = 0; !i || i < first.count; i++) {
			expect(virtqueue_get(&driver, &token, &written) && written == sizeof(*piece));
			expect(token == due);
			due = (u16)((due + 1) % BUFFERS);
			piece = piece_in(token);
			if (!i)
				first = *piece;
			expect(piece->packet == first.packet && piece->number == i && piece->count == first.count);
			post(token);
		}
	}
	return found;
}

/* Let one life run, a single instruction at a time, then end it. */
static unsigned int life(u32 packet)
{
	long steps = 1500 + random() % 3000, pause = 1 + random() % 400;
	unsigned int found = 0;
	pid_t child = fork();
	int status;

	expect(child >= 0);
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			_exit(SKIPPED);
		raise(SIGSTOP);
		live(packet);
	}
	expect(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	for (; steps; steps--) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL)) {
			kill(child, SIGKILL);
			exit(SKIPPED);
		}
		expect(waitpid(child, &status, 0) == child && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
		if (steps % pause == 0)
			found += guest_looks();
	}
	kill(child, SIGKILL);
	expect(waitpid(child, &status, 0) == child);
	return found;
}

int main(int argc, char **argv)
{
	unsigned int found = 0, lives = 0;

	expect(argc == 2);
	srandom((unsigned int)atoi(argv[1]));
	start();
	while (found < PACKETS)
		found += life(1000 * ++lives);
	return 0;
}
