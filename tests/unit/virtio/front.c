/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A front whose guest, on another CPU, posts one more request whenever the front has taken the last. It must come to its
 * messages all the same, and serve all in the end. Usage: front QUEUE POSTS; silence is success.
 */
#include <sys/mman.h>

#include <virtio/virtqueue.h>

#include "../../../servers/fronts/lib/state.h"
#include "host.h"

#define RAM      (1UL << 20)
#define PAGE_GPA 0x1000UL
#define RING_GPA 0x10000UL /* of queue 0; the next one follows */
#define RING     0x4000UL
#define DATA_GPA 0x20000UL
#define SIZE     16
#define BETWEEN  1000 /* most posts between two looks at messages */

unsigned long test_syscalls[32];

/* Queue 0 has work, queue 1 empty buffers. */
const struct front front = { .device_id = 1, .queue_size = SIZE, .least = { { 16, 0 }, { 0, 16 } } };

static struct virtqueue driver[2];
static u16 doorbell, given[SIZE], first, next;
static unsigned int queue, posts, posted, since, back, waited;

static void collect(void)
{
	u32 written;
	u16 token;

	for (; virtqueue_get(&driver[queue], &token, &written); back++)
		expect(token == back % SIZE);
}

static void post(void)
{
	struct dma_buffer buffer = { DATA_GPA, 16, queue == 1 };

	collect();
	if (posted == posts)
		return;
	expect(++since < BETWEEN);
	expect(virtqueue_add(&driver[queue], &buffer, 1, (u16)(posted++ % SIZE)));
	virtqueue_kick(&driver[queue]);
}

static void *memory(u64 address, u64 bytes)
{
	void *at = mmap((void *)address, bytes, PROT_READ | PROT_WRITE,
	                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	expect(at == (void *)address);
	return at;
}

/* The device does at once what it is given. */
void driver_start(u64 features) {}
int driver_resume(unsigned int number, u16 token) { return -1; }
void driver_stop(void) {}
bool driver_holds(unsigned int number, const struct dma_buffer *buffers, u16 count) { return true; }
bool driver_done(unsigned int number) { return first != next; }
bool driver_runs(void) { return true; }
bool driver_check(unsigned int number, u16 count) { return true; }

bool driver_submit(unsigned int number, const struct guest_chain *chain, const struct dma_buffer *buffers, u16 token)
{
	expect(number == queue);
	given[next++ % SIZE] = token;
	return true;
}

/* By now the front has found no more. */
void driver_kick(unsigned int number) { post(); }

bool driver_complete(unsigned int number, u16 *token, u32 *written)
{
	if (number != queue || first == next)
		return false;
	*token = given[first++ % SIZE];
	*written = 0;
	return true;
}

/* Called after each wait, which tells nothing here. The device's interrupt is open, so what it has done is told. */
void driver_interrupt(void)
{
	since = 0;
	collect();
	if (back < posts && ++waited < posts)
		return;
	expect(back == posts);
	/* It is only asked for messages, without a wait, where nothing else tells of the rest. */
	expect(queue ? test_syscalls[L4_SYS_POLL] : !test_syscalls[L4_SYS_POLL]);
	exit(0);
}

void dma_translate(struct dma_buffer *to, const struct guest_buffer *from, u16 count)
{
	for (; count--; to++, from++)
		*to = (struct dma_buffer){ from->gpa, from->bytes, from->write };
}

unsigned long l4_server_ready(void) { return 0; }
void l4_server_pong(unsigned long left) {}

int main(int argc, char **argv)
{
	struct l4_server_info *page = memory(L4_SERVER_INFO_VADDR, L4_PAGE_SIZE);
	unsigned char *ram = memory(L4_SERVER_GUEST_VADDR, RAM);
	struct l4_virtio_page *device = (void *)(ram + PAGE_GPA);
	unsigned int i;

	expect(argc == 3);
	queue = (unsigned int)atoi(argv[1]);
	posts = (unsigned int)atoi(argv[2]);
	memory(L4_SERVER_DMA_VADDR, L4_PAGE_SIZE);
	page->resource[0] = (struct l4_resource){ .kind = L4_RESOURCE_GUEST_MEMORY, .size = RAM };
	page->resource[1] = (struct l4_resource){ .kind = L4_RESOURCE_QUEUES, .address = PAGE_GPA };
	page->resource[2] = (struct l4_resource){ .kind = L4_RESOURCE_DMA_MEMORY, .size = L4_PAGE_SIZE };
	page->resource[3] = (struct l4_resource){ .kind = L4_RESOURCE_INTERRUPT };
	page->resource_count = 4;
	for (i = 0; i < page->resource_count; i++)
		page->first[page->resource[i].kind] = (u8)i;
	for (i = 0; i < 2; i++) {
		virtqueue_init(&driver[i], ram + RING_GPA + i * RING, RING_GPA + i * RING, (u16)i, SIZE, &doorbell);
		device->queue[i] = (struct l4_virtio_queue){
			SIZE, SIZE, 1, 0, driver[i].desc_paddr, driver[i].avail_paddr, driver[i].used_paddr, 0
		};
	}
	device->driver_features = VIRTIO_F_VERSION_1;
	device->status = 15;
	post();
	front_serve(0, 2, 1, "");
}
