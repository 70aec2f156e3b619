/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Read a flattened device tree (Devicetree Specification 0.4, chapter 5), for the kernel's boards and the root
 * pager's. The tree is not trusted: a damaged one gives nodes and properties that are not there, never
 * an access outside of it.
 *
 * A node is known by its offset in the structure block; FDT_NONE is no node. Cells are big-endian.
 */
#ifndef FDT_H
#define FDT_H

#define FDT_NONE (-1)

struct fdt {
	const unsigned char *structure, *strings;
	int structure_size, strings_size; /* bytes */
	int size;                         /* bytes of all of it */
};

/* 0, or -1 if the bytes are no device tree or it needs more than limit bytes. */
int fdt_open(struct fdt *fdt, const void *blob, unsigned long limit);

int fdt_root(const struct fdt *fdt);
int fdt_child(const struct fdt *fdt, int node);   /* first one */
int fdt_sibling(const struct fdt *fdt, int node); /* next one */
int fdt_parent(const struct fdt *fdt, int node);
int fdt_next(const struct fdt *fdt, int node); /* in the order of the tree; from FDT_NONE: the root */
const char *fdt_name(const struct fdt *fdt, int node);

/* "/soc/serial" finds the first serial or serial@... below soc. */
int fdt_find(const struct fdt *fdt, const char *path);

/* Next node after `after` (FDT_NONE: from the start) whose compatible lists the string and that is not disabled. */
int fdt_compatible(const struct fdt *fdt, int after, const char *compatible);
int fdt_is_compatible(const struct fdt *fdt, int node, const char *compatible);
int fdt_phandle(const struct fdt *fdt, unsigned int phandle);

/* Value of a property and its size in bytes; NULL if there is none. */
const void *fdt_property(const struct fdt *fdt, int node, const char *name, int *size);
/* A text, NUL-terminated inside of the property; NULL if it is not. */
const char *fdt_text(const struct fdt *fdt, int node, const char *name);
/* A number of one cell, or otherwise. */
unsigned int fdt_number(const struct fdt *fdt, int node, const char *name, unsigned int otherwise);

/* `cells` cells (at most 2) at any address. */
unsigned long fdt_cells(const void *at, int cells);

/* The index-th range of reg, by the parent's cells, translated by the ranges above it. 0, or -1. */
int fdt_reg(const struct fdt *fdt, int node, int index, unsigned long *address, unsigned long *size);

/* The node that /chosen stdout-path names, by its path or by an alias (section 3.6). */
int fdt_stdout(const struct fdt *fdt);

/* The index-th interrupt: its controller and its cells (big-endian; *cells of them). 0, or -1. */
int fdt_interrupt(const struct fdt *fdt, int node, int index, int *controller, const void **at, int *cells);

#endif
