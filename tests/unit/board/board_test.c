/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * servers/platform/virt.c on the host, which stands in for the rest of the root pager. `board_test tell FILE` says
 * what it makes of a device tree, or its error; `board_test noise FILE SEED` damages the tree, under the address
 * sanitizer.
 */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <platform/board.h>
#include <platform/platform.h>
#include <root/device_memory.h>
#include <root/memory.h>
#include <root/report.h>

#define TREE_PADDR 0x87e00000UL

const struct l4_boot_info *boot_info;

static struct l4_boot_info info = { .firmware_table = TREE_PADDR };
static unsigned char *tree;
static u64 tree_size;
static unsigned int clock_regs[8];
static bool quiet;
static jmp_buf failed;

static void tell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void tell(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (!quiet)
		vprintf(format, args);
	va_end(args);
}

void fail(const char *format, ...)
{
	char text[200];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	tell("error: %s\n", text);
	longjmp(failed, 1);
}

void check(unsigned long error, const char *what)
{
	if (error)
		fail("%s: %lu", what, error);
}

void *device_map(u64 paddr, u64 bytes, bool uncached)
{
	u64 offset = paddr - TREE_PADDR;

	if (uncached) {
		tell("clock at %lx\n", paddr);
		return clock_regs;
	}
	if (offset > tree_size || bytes > tree_size - offset)
		fail("no memory there");
	return tree + offset;
}

unsigned long slot_alloc(unsigned long count) { return 100; }

unsigned long device_frame(u64 paddr, unsigned long size_bits)
{
	tell("registers at %lx\n", paddr);
	return 102;
}

u64 counter_nanoseconds(u64 counter) { return counter; }

unsigned long l4_syscall(unsigned long number, unsigned long cap, unsigned long reply_cap, struct l4_msg *msg)
{
	if (cap == L4_ROOT_SLOT_CONTROL && msg->tag == L4_CONTROL_IRQ_LINE)
		tell("takes line %lu %s\n", msg->words[0], msg->words[1] ? "level" : "edge");
	return L4_ERR_OK;
}

static void ask(void)
{
	struct device serial = { .name = "serial line" };
	const struct l4_resource *interrupt;
	struct board_pci pci;
	unsigned int i, pin;
	bool level;
	u64 line;

	if (setjmp(failed))
		return;
	boot_info = &info;
	platform_init();
	tell("time %lu\n", platform_wallclock());
	board_serial(&serial);
	interrupt = device_resource(&serial, L4_RESOURCE_INTERRUPT);
	tell("serial line of kind %u, %s\n", device_resource(&serial, L4_RESOURCE_REGISTERS)->type,
	     interrupt->flags & L4_RESOURCE_FLAG_LINE ? "level" : "edge");
	if (!board_pci(&pci)) {
		tell("no PCI\n");
		return;
	}
	tell("PCI at %lx, buses %u to %u\n", pci.config, pci.first_bus, pci.last_bus);
	for (i = 0; i < pci.windows; i++)
		tell("window %lx at %lx of %lx\n", pci.window[i].bus, pci.window[i].paddr, pci.window[i].bytes);
	for (i = 0; i < 6; i++)
		for (pin = 1; pin <= 4; pin++)
			if (board_pci_line(i, 0, pin, &line, &level))
				tell("slot %u pin %u: line %lu %s\n", i, pin, line, level ? "level" : "edge");
	platform_tick_start(101);
	tell("alarm %u %u %u %u\n", clock_regs[1], clock_regs[2], clock_regs[3], clock_regs[4]);
}

/* Bytes change or go, and the memory is exactly as long as what is left. */
static void noise(const unsigned char *bytes, u64 size, unsigned int seed)
{
	srand(seed);
	quiet = true;
	for (int round = 0; round < 4000; round++) {
		tree_size = rand() % 4 ? size : (u64)rand() % (size + 1);
		tree = malloc(tree_size ? tree_size : 1);
		memcpy(tree, bytes, tree_size);
		for (int i = rand() % 8; i > 0 && tree_size; i--)
			tree[(u64)rand() % tree_size] = (unsigned char)(rand() % 3 ? rand() : rand() % 10);
		ask();
		free(tree);
	}
}

int main(int argc, char **argv)
{
	FILE *file = argc > 2 ? fopen(argv[2], "rb") : NULL;
	unsigned char *bytes;
	u64 size;

	if (!file || fseek(file, 0, SEEK_END))
		return 1;
	size = (u64)ftell(file);
	rewind(file);
	bytes = malloc(size);
	if (fread(bytes, 1, size, file) != size)
		return 1;
	clock_regs[0] = 5;
	clock_regs[1] = 1;
	if (!strcmp(argv[1], "noise")) {
		noise(bytes, size, (unsigned int)atoi(argv[3]));
		return 0;
	}
	tree = bytes;
	tree_size = size;
	ask();
	return 0;
}
