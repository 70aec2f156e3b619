/* SPDX-License-Identifier: BSD-2-Clause */
/* A reader of flattened device trees: see fdt.h. Every step through the structure block is checked. */
#include "fdt.h"

#define NULL ((void *)0)

/* Devicetree Specification 0.4, 5.2 and 5.4. */
#define MAGIC       0xd00dfeed
#define VERSION     17
#define HEADER_SIZE 40
enum { TOTAL_SIZE = 4, OFF_STRUCT = 8, OFF_STRINGS = 12, COMPATIBLE_VERSION = 24, SIZE_STRINGS = 32, SIZE_STRUCT = 36 };
enum { BEGIN_NODE = 1, END_NODE = 2, PROPERTY = 3, NOP = 4, END = 9 };

#define DEPTH    16  /* of nodes; a deeper tree is no machine's */
#define PATH_MAX 128 /* of a path to a node; a longer one is no machine's */
#define BRIDGES  8   /* interrupt parents that point to interrupt parents */

static unsigned int be32(const unsigned char *p)
{
	return (unsigned int)p[0] << 24 | (unsigned int)p[1] << 16 | (unsigned int)p[2] << 8 | p[3];
}

static int equal(const char *a, const char *b)
{
	for (; *a == *b; a++, b++)
		if (!*a)
			return 1;
	return 0;
}

int fdt_open(struct fdt *fdt, const void *blob, unsigned long limit)
{
	const unsigned char *p = blob;
	unsigned long total, structure, structure_size, strings, strings_size;

	if (limit < HEADER_SIZE || be32(p) != MAGIC || be32(p + COMPATIBLE_VERSION) > VERSION)
		return -1;
	total = be32(p + TOTAL_SIZE);
	structure = be32(p + OFF_STRUCT);
	structure_size = be32(p + SIZE_STRUCT);
	strings = be32(p + OFF_STRINGS);
	strings_size = be32(p + SIZE_STRINGS);
	if (total > limit || total > 0x7fffffff || structure % 4 || structure > total ||
	    structure_size > total - structure || strings > total || strings_size > total - strings)
		return -1;
	/* The last text ends here whatever it says. */
	while (strings_size && p[strings + strings_size - 1])
		strings_size--;
	*fdt = (struct fdt){ p + structure, p + strings, (int)structure_size, (int)strings_size, (int)total };
	return fdt_root(fdt) == FDT_NONE ? -1 : 0;
}

/* Bytes of a text up to and with its NUL, at most left; 0 if it does not end. */
static int text_size(const unsigned char *p, int left)
{
	for (int i = 0; i < left; i++)
		if (!p[i])
			return i + 1;
	return 0;
}

/* The token at an offset; *next is the offset of the one after it. END for whatever makes no sense. */
static unsigned int token(const struct fdt *fdt, int at, int *next)
{
	int left = fdt->structure_size - at, size;
	unsigned int kind;

	if (at < 0 || at % 4 || left < 4)
		return END;
	kind = be32(fdt->structure + at);
	switch (kind) {
	case BEGIN_NODE:
		size = text_size(fdt->structure + at + 4, left - 4);
		if (!size)
			return END;
		*next = at + 4 + (size + 3) / 4 * 4;
		return kind;
	case PROPERTY:
		if (left < 12 || be32(fdt->structure + at + 4) > (unsigned int)left - 12)
			return END;
		*next = at + 12 + (int)((be32(fdt->structure + at + 4) + 3) / 4 * 4);
		return kind;
	case END_NODE:
	case NOP:
		*next = at + 4;
		return kind;
	default:
		return END;
	}
}

int fdt_root(const struct fdt *fdt)
{
	int at = 0, next;
	unsigned int kind;

	while ((kind = token(fdt, at, &next)) == NOP)
		at = next;
	return kind == BEGIN_NODE ? at : FDT_NONE;
}

/* Next node in the order of the tree; *depth changes by how much deeper it is. */
static int walk(const struct fdt *fdt, int node, int *depth)
{
	int at = node, next;
	unsigned int kind = token(fdt, at, &next);

	if (kind != BEGIN_NODE)
		return FDT_NONE;
	for (at = next, ++*depth; (kind = token(fdt, at, &next)) != END; at = next) {
		if (kind == BEGIN_NODE)
			return at;
		if (kind == END_NODE && --*depth < 0)
			return FDT_NONE;
	}
	return FDT_NONE;
}

int fdt_next(const struct fdt *fdt, int node)
{
	/* How deep the node is does not matter: the end of the block ends the walk. */
	int depth = fdt->structure_size;

	return node == FDT_NONE ? fdt_root(fdt) : walk(fdt, node, &depth);
}

int fdt_child(const struct fdt *fdt, int node)
{
	int depth = 0, child = walk(fdt, node, &depth);

	return depth == 1 ? child : FDT_NONE;
}

int fdt_sibling(const struct fdt *fdt, int node)
{
	int depth = 0;

	do
		node = walk(fdt, node, &depth);
	while (node != FDT_NONE && depth > 0);
	return depth == 0 ? node : FDT_NONE;
}

int fdt_parent(const struct fdt *fdt, int node)
{
	int path[DEPTH], depth = 0;

	for (int at = fdt_root(fdt); at != FDT_NONE && at <= node; at = walk(fdt, at, &depth)) {
		if (depth >= DEPTH)
			return FDT_NONE;
		if (at == node)
			return depth ? path[depth - 1] : FDT_NONE;
		path[depth] = at;
	}
	return FDT_NONE;
}

const char *fdt_name(const struct fdt *fdt, int node)
{
	int next;

	return token(fdt, node, &next) == BEGIN_NODE ? (const char *)fdt->structure + node + 4 : "";
}

/* Is a node's name the first `length` bytes of path, perhaps with a unit address behind? */
static int named(const char *name, const char *path, int length)
{
	for (int i = 0; i < length; i++)
		if (name[i] != path[i])
			return 0;
	return !name[length] || name[length] == '@';
}

int fdt_find(const struct fdt *fdt, const char *path)
{
	int node = fdt_root(fdt);

	while (*path == '/' && path[1]) {
		int length = 0, child;

		for (path++; path[length] && path[length] != '/'; length++)
			;
		for (child = fdt_child(fdt, node); child != FDT_NONE; child = fdt_sibling(fdt, child))
			if (named(fdt_name(fdt, child), path, length))
				break;
		if (child == FDT_NONE)
			return FDT_NONE;
		node = child;
		path += length;
	}
	return node;
}

const void *fdt_property(const struct fdt *fdt, int node, const char *name, int *size)
{
	int at, next;
	unsigned int kind = token(fdt, node, &at);

	*size = 0;
	if (kind != BEGIN_NODE)
		return NULL;
	/* A node's properties come before its children. */
	for (; (kind = token(fdt, at, &next)) == PROPERTY || kind == NOP; at = next) {
		unsigned int offset;

		if (kind == NOP)
			continue;
		offset = be32(fdt->structure + at + 8);
		if (offset >= (unsigned int)fdt->strings_size || !equal((const char *)fdt->strings + offset, name))
			continue;
		*size = (int)be32(fdt->structure + at + 4);
		return fdt->structure + at + 12;
	}
	return NULL;
}

const char *fdt_text(const struct fdt *fdt, int node, const char *name)
{
	int size;
	const unsigned char *p = fdt_property(fdt, node, name, &size);

	return p && text_size(p, size) ? (const char *)p : NULL;
}

unsigned int fdt_number(const struct fdt *fdt, int node, const char *name, unsigned int otherwise)
{
	int size;
	const unsigned char *p = fdt_property(fdt, node, name, &size);

	return p && size == 4 ? be32(p) : otherwise;
}

int fdt_is_compatible(const struct fdt *fdt, int node, const char *compatible)
{
	int size, length;
	const unsigned char *p = fdt_property(fdt, node, "compatible", &size);

	for (; p && (length = text_size(p, size)); p += length, size -= length)
		if (equal((const char *)p, compatible))
			return 1;
	return 0;
}

int fdt_compatible(const struct fdt *fdt, int after, const char *compatible)
{
	for (int node = fdt_next(fdt, after); node != FDT_NONE; node = fdt_next(fdt, node)) {
		const char *status = fdt_text(fdt, node, "status");

		if (fdt_is_compatible(fdt, node, compatible) &&
		    (!status || equal(status, "okay") || equal(status, "ok")))
			return node;
	}
	return FDT_NONE;
}

int fdt_phandle(const struct fdt *fdt, unsigned int phandle)
{
	if (!phandle || phandle == ~0U)
		return FDT_NONE;
	for (int node = fdt_root(fdt); node != FDT_NONE; node = fdt_next(fdt, node))
		if (fdt_number(fdt, node, "phandle", 0) == phandle)
			return node;
	return FDT_NONE;
}

unsigned long fdt_cells(const void *at, int cells)
{
	unsigned long value = 0;

	for (int i = 0; i < cells && i < 2; i++)
		value = value << 32 | be32((const unsigned char *)at + 4 * i);
	return value;
}

/* Cells of an address or a size below a node, by the specification's defaults; 0 if they are not to be used. */
static int cells_of(const struct fdt *fdt, int node, const char *name, unsigned int otherwise)
{
	unsigned int cells = fdt_number(fdt, node, name, otherwise);

	return cells <= 3 ? (int)cells : 0;
}

/* From an address below `bus` to one above it. */
static int translate(const struct fdt *fdt, int bus, int above, unsigned long *address)
{
	int size, child = cells_of(fdt, bus, "#address-cells", 2), length = cells_of(fdt, bus, "#size-cells", 1);
	int parent = cells_of(fdt, above, "#address-cells", 2), step = (child + parent + length) * 4;
	const unsigned char *p = fdt_property(fdt, bus, "ranges", &size);

	if (!p)
		return -1;
	if (!size)
		return 0;
	if (child < 1 || child > 2 || parent < 1 || parent > 2 || length < 1 || length > 2)
		return -1;
	for (; size >= step; p += step, size -= step) {
		unsigned long start = fdt_cells(p, child), bytes = fdt_cells(p + 4 * (child + parent), length);

		if (*address >= start && *address - start < bytes) {
			*address = *address - start + fdt_cells(p + 4 * child, parent);
			return 0;
		}
	}
	return -1;
}

int fdt_reg(const struct fdt *fdt, int node, int index, unsigned long *address, unsigned long *size)
{
	int bus = fdt_parent(fdt, node), above, bytes;
	int address_cells = cells_of(fdt, bus, "#address-cells", 2), size_cells = cells_of(fdt, bus, "#size-cells", 1);
	int step = (address_cells + size_cells) * 4;
	const unsigned char *p = fdt_property(fdt, node, "reg", &bytes);

	if (bus == FDT_NONE || !p || address_cells < 1 || address_cells > 2 || size_cells > 2 || index < 0 ||
	    index >= bytes / step)
		return -1;
	*address = fdt_cells(p + index * step, address_cells);
	*size = fdt_cells(p + index * step + 4 * address_cells, size_cells);
	for (; (above = fdt_parent(fdt, bus)) != FDT_NONE; bus = above)
		if (translate(fdt, bus, above, address))
			return -1;
	return 0;
}

/* The controller that a node's interrupts go to: its own interrupt-parent or that of a node above. */
static int controller_of(const struct fdt *fdt, int node)
{
	for (int i = 0; i < BRIDGES && node != FDT_NONE; i++, node = fdt_parent(fdt, node)) {
		unsigned int phandle = fdt_number(fdt, node, "interrupt-parent", 0);

		if (phandle)
			return fdt_phandle(fdt, phandle);
	}
	return FDT_NONE;
}

int fdt_interrupt(const struct fdt *fdt, int node, int index, int *controller, const void **at, int *cells)
{
	int bytes, extended;
	const unsigned char *p = fdt_property(fdt, node, "interrupts-extended", &bytes);

	extended = p != NULL;
	if (!extended)
		p = fdt_property(fdt, node, "interrupts", &bytes);
	for (int i = 0; p && i <= index; i++) {
		int step;

		if (extended && bytes < 4)
			return -1;
		*controller = extended ? fdt_phandle(fdt, be32(p)) : controller_of(fdt, node);
		if (extended) {
			p += 4;
			bytes -= 4;
		}
		*cells = cells_of(fdt, *controller, "#interrupt-cells", 0);
		step = *cells * 4;
		if (*controller == FDT_NONE || !*cells || bytes < step)
			return -1;
		*at = p;
		if (i == index)
			return 0;
		p += step;
		bytes -= step;
	}
	return -1;
}

int fdt_stdout(const struct fdt *fdt)
{
	const char *path = fdt_text(fdt, fdt_find(fdt, "/chosen"), "stdout-path");
	char name[PATH_MAX];
	int n = 0;

	if (!path)
		return FDT_NONE;
	/* Options may follow a colon. */
	for (; path[n] && path[n] != ':'; n++) {
		if (n == PATH_MAX - 1)
			return FDT_NONE;
		name[n] = path[n];
	}
	name[n] = 0;
	path = name[0] == '/' ? name : fdt_text(fdt, fdt_find(fdt, "/aliases"), name);
	return path ? fdt_find(fdt, path) : FDT_NONE;
}
