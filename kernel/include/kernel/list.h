/* SPDX-License-Identifier: GPL-2.0-only */
/* Intrusive circular doubly linked list. An element that is on no list points to itself. */
#ifndef KERNEL_LIST_H
#define KERNEL_LIST_H

#include <kernel/types.h>

struct list {
	struct list *next, *prev;
};

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }

static inline void list_insert_before(struct list *at, struct list *e)
{
	e->next = at;
	e->prev = at->prev;
	at->prev->next = e;
	at->prev = e;
}

static inline void list_add_tail(struct list *head, struct list *e) { list_insert_before(head, e); }
static inline void list_add_head(struct list *head, struct list *e) { list_insert_before(head->next, e); }

/* Of an element whose owner knows by other means that it is on no list from now on. */
static inline void list_unlink(struct list *e)
{
	struct list *next = e->next, *prev = e->prev;

	prev->next = next;
	next->prev = prev;
}

static inline void list_remove(struct list *e)
{
	list_unlink(e);
	list_init(e);
}

#endif
