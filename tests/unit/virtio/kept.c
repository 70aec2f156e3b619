/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A driver that dies, again and again, while its device runs on: each request must be done once, and go back once, in
 * order. Usage: kept NAME SEED; silence is success.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <virtio/kept_queue.h>

#include "host.h"

#define RING    128
#define PADDR   0x40000UL
#define MEMORY  0x10000UL
#define STEPPED 120    /* requests while the driver goes by single instructions */
#define MANY    150000 /* more than indices of 16 bits count */

/* What the driver's lives, the device and the guest share. */
static struct shared {
	unsigned int back; /* requests that went back to the guest */
	unsigned char memory[MEMORY] __attribute__((aligned(4096)));
	unsigned char executed[MANY];
	u32 result[MANY];
} *shared;

static volatile u16 doorbell;
static struct kept_queue device; /* where the ring is */
static unsigned int seen;        /* requests that the device has taken */
static unsigned int pending[KEPT_SLOTS], pending_count;

static u32 answer(unsigned int number) { return number * 3 + 1; }

/* A life of the driver, with what it has in its own memory. */
struct life {
	struct kept_queue queue;
	unsigned int next;
	struct {
		bool done;
		u32 written;
	} request[KEPT_TOKENS];
};

static void life_begin(struct life *life)
{
	int count;

	memset(life, 0, sizeof(*life));
	kept_queue_place(&life->queue, shared->memory, PADDR, RING, &doorbell);
	life->next = shared->back;
	if (!kept_queue_is_kept(&life->queue)) {
		kept_queue_clear(&life->queue);
		kept_queue_keep(&life->queue);
		return;
	}
	count = kept_queue_resume(&life->queue, (u16)(shared->back % KEPT_TOKENS));
	expect(count >= 0);
	life->next += (unsigned int)count;
}

/* Takes what is done, and gives back what is due. */
static void take(struct life *life)
{
	unsigned int place;
	u32 written;
	u16 token;

	while (kept_queue_get(&life->queue, &token, &written)) {
		life->request[token].done = true;
		life->request[token].written = written;
	}
	for (;;) {
		place = shared->back % KEPT_TOKENS;
		if (shared->back == life->next || !life->request[place].done)
			break;
		shared->result[shared->back] = life->request[place].written;
		__atomic_store_n(&shared->back, shared->back + 1, __ATOMIC_SEQ_CST);
	}
}

/* Puts requests into the ring, at most so many, as far as there is room. */
static unsigned int add(struct life *life, unsigned int total, unsigned int most)
{
	unsigned int added, count;
	struct dma_buffer buffers[3];

	for (added = 0; added < most && life->next < total && life->next - shared->back < KEPT_REQUESTS; added++) {
		buffers[0] = (struct dma_buffer){ 0x1000000UL + life->next, 7, false };
		buffers[1] = (struct dma_buffer){ 0x2000000UL + life->next, 9, true };
		buffers[2] = (struct dma_buffer){ 0x3000000UL, 11, true };
		count = 2 + life->next % 2;
		life->request[life->next % KEPT_TOKENS].done = false;
		kept_queue_add(&life->queue, buffers, (u16)count, (u16)(life->next % KEPT_TOKENS));
		expect(kept_queue_holds(&life->queue, buffers, (u16)count));
		life->next++;
	}
	return added;
}

/* Hand over a few requests; take what is done; give back what is due. */
static void life_go_on(struct life *life, unsigned int total)
{
	if (add(life, total, 3))
		kept_queue_kick(&life->queue);
	take(life);
}

/* The device takes requests that it is shown, and does one of them, whichever. */
static void device_turn(void)
{
	unsigned int which, slot, number;
	struct vring_desc *table;

	while ((u16)seen != __atomic_load_n(&device.avail->idx, __ATOMIC_ACQUIRE)) {
		expect(pending_count < KEPT_SLOTS);
		pending[pending_count++] = device.avail->ring[seen++ % RING];
	}
	if (!pending_count)
		return;
	which = (unsigned int)random() % pending_count;
	slot = pending[which];
	pending[which] = pending[--pending_count];
	table = device.tables[(device.desc[slot].addr - device.tables_paddr) / sizeof(device.tables[0])];
	number = (unsigned int)(table[0].addr - 0x1000000UL);
	expect(number < MANY && table[1].addr == 0x2000000UL + number && table[1].flags & VRING_DESC_WRITE);
	expect(!shared->executed[number]++);
	device.used->ring[device.used->idx % RING] = (struct vring_used_elem){ slot, answer(number) };
	__atomic_store_n(&device.used->idx, (u16)(device.used->idx + 1), __ATOMIC_RELEASE);
}

static void check(unsigned int total)
{
	unsigned int i;

	expect(shared->back == total);
	for (i = 0; i < total; i++)
		expect(shared->executed[i] == 1 && shared->result[i] == answer(i));
}

static void start(void)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	expect(shared != MAP_FAILED);
	kept_queue_place(&device, shared->memory, PADDR, RING, &doorbell);
}

/* Dies between two calls, through many turns of the indices. */
static void test_calls(void)
{
	static struct life life;

	start();
	life_begin(&life);
	while (shared->back < MANY) {
		life_go_on(&life, MANY);
		device_turn();
		if (random() % 2)
			device_turn();
		if (random() % 16 == 0) {
			expect(kept_queue_sound(&life.queue, (u16)__builtin_popcount(life.queue.out)));
			life_begin(&life);
		}
	}
	check(MANY);
}

/* Dies with a full ring, of which the device was shown nothing. The device has done all requests before. */
static void test_unshown(void)
{
	static struct life life;
	unsigned int turn, total = 0;

	start();
	life_begin(&life);
	for (turn = 0; turn < 3 * KEPT_SLOTS; turn++) {
		total += KEPT_REQUESTS;
		expect(add(&life, total, KEPT_SLOTS) == KEPT_REQUESTS);
		life_begin(&life);
		expect(life.next == shared->back);
		if (turn % 2) {
			total -= KEPT_REQUESTS;
			continue;
		}
		expect(add(&life, total, KEPT_SLOTS) == KEPT_REQUESTS);
		kept_queue_kick(&life.queue);
		while (shared->back < total) {
			device_turn();
			take(&life);
		}
	}
	check(total);
}

/* Dies after any instruction. */
static void test_instructions(void)
{
	static struct life life;
	long steps;
	int status;
	pid_t child;

	start();
	while (shared->back < STEPPED) {
		child = fork();
		expect(child >= 0);
		if (!child) {
			if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
				_exit(SKIPPED);
			raise(SIGSTOP);
			for (life_begin(&life); shared->back < STEPPED;)
				life_go_on(&life, STEPPED);
			_exit(0);
		}
		expect(waitpid(child, &status, 0) == child);
		if (WIFEXITED(status))
			exit(WEXITSTATUS(status));
		for (steps = 2000 + random() % 6000; steps; steps--) {
			if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL)) {
				kill(child, SIGKILL);
				exit(SKIPPED);
			}
			expect(waitpid(child, &status, 0) == child);
			if (!WIFSTOPPED(status))
				break;
			expect(WSTOPSIG(status) == SIGTRAP);
			if (steps % 64 == 0)
				device_turn();
		}
		if (WIFSTOPPED(status)) {
			kill(child, SIGKILL);
			expect(waitpid(child, &status, 0) == child);
		} else {
			expect(WIFEXITED(status) && WEXITSTATUS(status) == 0);
		}
	}
	check(STEPPED);
}

/* What a stray store has changed is not gone on with. */
static void test_changed(void)
{
	static struct life life;
	unsigned int turn;

	for (turn = 0; turn < 9; turn++) {
		start();
		seen = pending_count = 0;
		life_begin(&life);
		life_go_on(&life, 8);
		device_turn();
		life_go_on(&life, 8);
		device_turn();
		kept_queue_place(&life.queue, shared->memory, PADDR, RING, &doorbell);
		switch (turn) {
		case 1: /* what the device is to do */
			device.tables[5][1].addr ^= 1UL << 33;
			break;
		case 2: /* which request a slot has */
			device.record->note[5] ^= 2;
			break;
		case 3: /* how many the device was shown */
			device.avail->idx += 40;
			break;
		case 4: /* how many are done */
			device.used->idx = (u16)(device.used->idx + 9);
			break;
		case 5: /* what is kept at all */
			device.record->valid ^= 1;
			break;
		case 6: /* which one is done: one that the device does not have */
			device.used->ring[(u16)(device.used->idx - 1) % RING].id ^= 8;
			break;
		case 7: /* or one twice */
			device.used->ring[device.used->idx % RING] =
				device.used->ring[(u16)(device.used->idx - 1) % RING];
			device.used->idx++;
			break;
		case 8: /* whether the device interrupts; this can be mended */
			device.avail->flags = VRING_AVAIL_NO_INTERRUPT;
		}
		expect((kept_queue_resume(&life.queue, (u16)shared->back) >= 0) == (turn == 0 || turn == 8));
		expect(turn != 8 || !device.avail->flags);
	}
}

int main(int argc, char **argv)
{
	expect(argc == 3);
	srandom((unsigned int)atoi(argv[2]));
	if (!strcmp(argv[1], "calls"))
		test_calls();
	else if (!strcmp(argv[1], "unshown"))
		test_unshown();
	else if (!strcmp(argv[1], "instructions"))
		test_instructions();
	else if (!strcmp(argv[1], "changed"))
		test_changed();
	else
		expect(!"a test of that name");
	return 0;
}
