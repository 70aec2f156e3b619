/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The device tree reader on the host. `fdt_test good FILE` compares answers with what board.dts says;
 * `fdt_test noise FILE SEED` damages the tree and asks everything, under the address sanitizer.
 */
#include <assert.h>
#include <fdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned char *bytes;
static long size;

static void good(const struct fdt *f)
{
	unsigned long address, length;
	const void *at;
	int node, controller, cells, n;

	node = fdt_find(f, "/memory");
	assert(!strcmp(fdt_name(f, node), "memory@80000000"));
	assert(!fdt_reg(f, node, 0, &address, &length) && address == 0x80000000 && length == 0x140000000);
	assert(!fdt_reg(f, node, 1, &address, &length) && address == 0x300000000 && length == 0x1000);
	assert(fdt_reg(f, node, 2, &address, &length));
	assert(fdt_number(f, fdt_find(f, "/cpus"), "timebase-frequency", 0) == 10000000);
	assert(fdt_number(f, fdt_find(f, "/cpus"), "absent", 7) == 7);
	assert(!strcmp(fdt_text(f, fdt_find(f, "/chosen"), "stdout-path"), "/soc/serial@10000000"));
	assert(!fdt_text(f, fdt_find(f, "/chosen"), "unended"));
	assert(fdt_stdout(f) == fdt_find(f, "/soc/serial"));
	assert(fdt_find(f, "/soc/nothing") == FDT_NONE && fdt_find(f, "/cho") == FDT_NONE);
	assert(fdt_find(f, "/") == fdt_root(f) && fdt_parent(f, fdt_root(f)) == FDT_NONE);

	node = fdt_find(f, "/soc/serial");
	assert(fdt_is_compatible(f, node, "ns16550a") && fdt_is_compatible(f, node, "second") &&
	       !fdt_is_compatible(f, node, "ns16550"));
	assert(fdt_parent(f, node) == fdt_find(f, "/soc"));
	assert(fdt_compatible(f, FDT_NONE, "ns16550a") == node);
	assert(fdt_compatible(f, node, "ns16550a") == fdt_find(f, "/uart")); /* one between is disabled */
	assert(!fdt_reg(f, node, 0, &address, &length) && address == 0x10000000 && length == 0x100);
	assert(!fdt_interrupt(f, node, 0, &controller, &at, &cells) && cells == 1 && fdt_cells(at, 1) == 10);
	assert(controller == fdt_find(f, "/soc/plic"));
	assert(fdt_interrupt(f, node, 1, &controller, &at, &cells));
	node = fdt_find(f, "/bridge/rtc");
	assert(!fdt_reg(f, node, 0, &address, &length) && address == 0x40001010);
	assert(!fdt_interrupt(f, node, 1, &controller, &at, &cells) && cells == 3 && fdt_cells(at, 2) == 0x100000002);
	assert(fdt_reg(f, fdt_find(f, "/bridge/outside"), 0, &address, &length));
	for (n = 0, node = fdt_child(f, fdt_find(f, "/soc")); node != FDT_NONE; node = fdt_sibling(f, node))
		n++;
	assert(n == 3);
	for (n = 0, node = fdt_next(f, FDT_NONE); node != FDT_NONE; node = fdt_next(f, node))
		n++;
	assert(n == 13);
}

static void ask(const struct fdt *f)
{
	static const char *const names[] = { "reg", "ranges", "compatible", "interrupts", "phandle", "status" };
	static const char *const paths[] = { "/", "/soc/serial", "/bridge/rtc", "/memory", "/x/y", "" };
	unsigned long address, length;
	volatile unsigned char sink = 0;
	const void *at;
	int controller, cells, n = 0;

	for (int node = fdt_next(f, FDT_NONE); node != FDT_NONE && n < 10000; node = fdt_next(f, node), n++) {
		sink ^= (unsigned char)strlen(fdt_name(f, node));
		fdt_child(f, node);
		fdt_sibling(f, node);
		fdt_parent(f, node);
		for (unsigned int i = 0; i < sizeof(names) / sizeof(*names); i++) {
			int bytes_of;
			const unsigned char *p = fdt_property(f, node, names[i], &bytes_of);
			const char *text = fdt_text(f, node, names[i]);

			for (int k = 0; p && k < bytes_of; k++)
				sink ^= p[k];
			sink ^= text ? (unsigned char)strlen(text) : 0;
		}
		for (int i = 0; i < 3; i++) {
			fdt_reg(f, node, i, &address, &length);
			if (!fdt_interrupt(f, node, i, &controller, &at, &cells))
				sink ^= (unsigned char)fdt_cells(at, cells);
		}
		fdt_compatible(f, node, "ns16550a");
	}
	for (unsigned int i = 0; i < sizeof(paths) / sizeof(*paths); i++)
		fdt_find(f, paths[i]);
	fdt_phandle(f, 1);
	fdt_stdout(f);
}

static void noise(unsigned int seed)
{
	srand(seed);
	for (int round = 0; round < 4000; round++) {
		long limit = rand() % 4 ? size : rand() % (size + 1);
		unsigned char *copy = malloc(limit ? limit : 1); /* exactly as long as the reader may read */
		struct fdt f;

		memcpy(copy, bytes, limit);
		for (int i = rand() % 8; i > 0 && limit; i--)
			copy[rand() % limit] = rand() % 3 ? rand() : rand() % 10;
		if (!fdt_open(&f, copy, limit))
			ask(&f);
		free(copy);
	}
}

int main(int argc, char **argv)
{
	FILE *file = argc > 2 ? fopen(argv[2], "rb") : NULL;
	struct fdt f;

	assert(file && !fseek(file, 0, SEEK_END));
	size = ftell(file);
	rewind(file);
	bytes = malloc(size);
	assert(fread(bytes, 1, size, file) == (size_t)size);
	if (!strcmp(argv[1], "noise")) {
		noise(atoi(argv[3]));
		return 0;
	}
	assert(!fdt_open(&f, bytes, size) && fdt_open(&f, bytes, size - 1));
	good(&f);
	return 0;
}
