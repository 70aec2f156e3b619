// SPDX-License-Identifier: GPL-2.0-only
/*
 * Table pages. All pages come from the pool of one VSpace. Each pool page has a descriptor that tells which of its
 * entries may be in use, so that clearing and scanning a page cost what was used of it.
 *
 * A page is free, or a table of a GuestSpace (on its list), or a table of the VSpace's own tree. Last-level tables of
 * the own tree without Frames are on the list `filled`, the oldest first: they hold only what can be filled again.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/guestspace.h>
#include <kernel/paging.h>

/* Descriptors name each other by 16 bits. */
_Static_assert(L4_VSPACE_MAX_BITS - L4_PAGE_BITS < 16, "struct table");

static u64 *pool_page(struct vspace *v, u32 n) { return (u64 *)(v->pool + (u64)n * L4_PAGE_SIZE); }

/* Number of the pool page that holds an entry, or that a table's address is. */
static u32 page_number(struct vspace *v, const u64 *entry)
{
	return (u64)((const char *)entry - v->pool) / L4_PAGE_SIZE;
}

struct table *pool_descriptor(struct vspace *v, const u64 *entry) { return &v->tables[page_number(v, entry)]; }

static void free_page(struct vspace *v, u32 n)
{
	v->tables[n].next = v->free_list;
	v->free_list = n + 1;
	v->pool_free++;
}

/* The list of last-level tables of the VSpace's own tree in which no Frame is mapped, the oldest first. */
static void filled_add(struct vspace *v, u32 n)
{
	struct table *d = &v->tables[n];

	d->next = 0;
	d->prev = v->filled_last;
	if (d->prev)
		v->tables[d->prev - 1].next = n + 1;
	else
		v->filled_first = n + 1;
	v->filled_last = n + 1;
}

static void filled_remove(struct vspace *v, u32 n)
{
	struct table *d = &v->tables[n];

	if (d->prev)
		v->tables[d->prev - 1].next = d->next;
	else
		v->filled_first = d->next;
	if (d->next)
		v->tables[d->next - 1].prev = d->prev;
	else
		v->filled_last = d->prev;
}

/* A zeroed page for a table of a level that translates vaddr, on its owner's list; NULL when the pool is empty. */
u64 *pool_take(struct vspace *v, struct guestspace *owner, u64 vaddr, int level)
{
	struct table *d;
	u32 n;

	if (v->free_list) {
		n = v->free_list - 1;
		d = &v->tables[n];
		v->free_list = d->next;
		if (d->low <= d->high)
			memset(pool_page(v, n) + d->low, 0, (d->high - d->low + 1) * sizeof(u64));
	} else if (v->fresh < v->pool_pages) {
		n = v->fresh++;
		d = &v->tables[n];
	} else {
		return NULL;
	}
	v->pool_free--;
	event(EVENT_TABLE, arch_pa(pool_page(v, n)), 0);
	*d = (struct table){ .low = TABLE_ENTRIES - 1, .high = 0 };
	if (owner) {
		if (!owner->tables) {
			owner->last_table = n + 1;
			list_remove(&owner->link);
			list_add_tail(&v->holders, &owner->link);
		}
		d->next = owner->tables;
		owner->tables = n + 1;
		owner->table_count++;
	} else if (!level) {
		d->place = vaddr >> L4_LARGE_PAGE_BITS;
		filled_add(v, n);
	}
	return pool_page(v, n);
}

/* The entry may be in use from now on. */
void pool_note_use(struct vspace *v, const u64 *entry)
{
	struct table *d = pool_descriptor(v, entry);
	u16 i = (u64)entry / sizeof(u64) & (TABLE_ENTRIES - 1);

	if (i < d->low)
		d->low = i;
	if (i > d->high)
		d->high = i;
}

void pool_give_back(struct vspace *v, struct guestspace *g)
{
	if (!g->tables)
		return;
	v->tables[g->last_table - 1].next = v->free_list;
	v->free_list = g->tables;
	v->pool_free += g->table_count;
	g->tables = g->table_count = 0;
	list_remove(&g->link);
	list_add_tail(&v->spaces, &g->link);
}

/* A Frame's leaf was written into an entry, or cleared. */
void pool_frame_set(struct vspace *v, const u64 *entry, int level)
{
	u32 n = page_number(v, entry);

	if (!v->tables[n].frames++ && !level)
		filled_remove(v, n);
}

void pool_frame_cleared(struct vspace *v, const u64 *entry, int level)
{
	u32 n = page_number(v, entry);

	assert(v->tables[n].frames);
	if (!--v->tables[n].frames && !level)
		filled_add(v, n);
}

/*
 * Give a last-level table of the VSpace's own tree, in which no Frame is mapped, back to the pool; entry names it. The
 * CPU may have cached the pointer to the table, so the caller flushes the root.
 */
void pool_drop_own(struct vspace *v, u64 *entry)
{
	u32 n = page_number(v, arch_ptr(pte_addr(*entry)));

	assert(!v->tables[n].frames);
	*entry = 0;
	filled_remove(v, n);
	free_page(v, n);
}
