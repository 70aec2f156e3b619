// SPDX-License-Identifier: GPL-2.0-only
/*
 * GuestSpace: a software TLB of one of the guest's page tables. L4 walks the guest's table on a miss,
 * checks every step against the guest's memory, and fills its own table, which it may drop at any time.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/paging.h>
#include <kernel/vspace.h>

#define AROUND 16 /* pages, aligned, that one miss may fill */

void guestspace_init(void *memory, u8 size_bits)
{
	struct guestspace *g = memory;

	_Static_assert(sizeof(*g) <= L4_PAGE_SIZE, "guestspace size");
	g->root = (u64 *)((char *)memory + L4_PAGE_SIZE);
	g->guest_root = NEVER;
	list_init(&g->link);
	g->root_reg = arch_root_init(g->root);
}

/* Its VSpace's capability is revoked, or it goes itself: it is no longer configured. */
static void leave(struct guestspace *g)
{
	for (struct list *l = g->vspace->vcpus.next; l != &g->vspace->vcpus; l = l->next) {
		struct vcpu *c = container_of(l, struct vcpu, link);

		if (c->thread->in_guest_user && c->space == g)
			vcpu_leave_user(c->thread, L4_EXIT_ERROR, L4_ERR_CANCELLED);
	}
	guestspace_reset(g);
	list_remove(&g->link);
	g->vspace = NULL;
	g->epoch = 0;
	g->guest_root = NEVER;
	slot_drop(&g->vspace_slot);
}

void guestspace_lost(struct slot *held) { leave(container_of(held, struct guestspace, vspace_slot)); }

void guestspace_destroy(struct object *o)
{
	struct guestspace *g = (struct guestspace *)o;

	if (g->vspace)
		leave(g);
	arch_root_destroy(g->root_reg);
}

/*
 * An operation of the flush queue. False: preempted, and *start is where to go on. Until it is done nobody may
 * enter the space.
 */
bool guestspace_flush(struct guestspace *g, u32 op, u64 *start, u64 end, struct work *work)
{
	bool done = true;

	if (op == L4_FLUSH_ROOT) {
		guestspace_reset(g);
		g->guest_root =
			aligned(*start, L4_PAGE_SIZE) && vspace_guest_memory(g->vspace, *start, L4_PAGE_SIZE, NULL)
		                ? *start
		                : NEVER;
		return true;
	}
	event(EVENT_FLUSH, *start, end);
	if (op == L4_FLUSH_RANGE && !*start && end >= ARCH_USER_TOP) {
		guestspace_reset(g);
		return true;
	}
	if (g->tables)
		done = table_change(g->vspace, g->root, start, end,
		                    op == L4_FLUSH_PROTECT ? TABLE_PROTECT : TABLE_CLEAR, work);
	arch_root_flush(g->root_reg);
	return done;
}

static inline u32 guest_rights(u64 e)
{
	return (e & L4_PTE_READ ? L4_RIGHT_READ : 0) | (e & L4_PTE_WRITE ? L4_RIGHT_WRITE : 0) |
	       (e & L4_PTE_EXEC ? L4_RIGHT_EXEC : 0);
}

/*
 * Walk the guest's table to the leaf of vaddr. Returns the leaf's place in kernel memory, its value and its
 * level; NULL if any step is not valid or not in the guest's memory.
 */
static u64 *guest_walk(struct vspace *v, u64 table_gpa, u64 vaddr, u64 *value, int *level)
{
	for (int l = 3; l >= 0; l--) {
		u64 index = level_index(vaddr, l);
		u64 *table = vspace_guest_memory(v, table_gpa, L4_PAGE_SIZE, NULL);
		u64 e;

		if (unlikely(!table))
			return NULL;
		e = READ_ONCE(table[index]);
		if (!(e & L4_PTE_VALID))
			return NULL;
		if (!l || (e & L4_PTE_LEAF)) {
			if (l > 1 || !(e & L4_PTE_LEAF))
				return NULL;
			*value = e;
			*level = l;
			return &table[index];
		}
		table_gpa = e & L4_PTE_ADDR_MASK;
	}
	return NULL;
}

/*
 * Entry for a leaf of vaddr that maps memory at *pa. Where the memory is not aligned for a large leaf, or small ones
 * are there already (which are correct or flushed), a small leaf of the page does: *level and *pa are changed then.
 * NULL: a larger leaf is in the way, or the pool is empty.
 */
static u64 *leaf_entry(struct vspace *v, struct guestspace *g, u64 vaddr, u64 *pa, int *level)
{
	u64 *root = g ? g->root : v->root, *e;

	if (*level) {
		e = aligned(*pa, level_span(*level)) ? table_entry(v, g, root, vaddr, *level, true) : NULL;
		if (e && (!pte_valid(*e) || pte_leaf(*e, *level)))
			return e;
		*pa += align_down(vaddr & (level_span(*level) - 1), L4_PAGE_SIZE);
		*level = 0;
	}
	return table_entry(v, g, root, vaddr, 0, true);
}

/* Install one translation; false: see leaf_entry(), or a mapped Frame is in the way. */
static bool install(struct vspace *v, struct guestspace *g, u64 vaddr, u64 guest_pte, int level)
{
	u64 size = level_span(level), pa, *e;
	u32 rights = guest_rights(guest_pte);

	if (!vspace_guest_memory(v, guest_pte & L4_PTE_ADDR_MASK & ~(size - 1), size, &pa))
		return false;
	/* A clean page stays read-only, so that its first write is seen. */
	if (!(guest_pte & L4_PTE_DIRTY))
		rights &= ~L4_RIGHT_WRITE;
	e = leaf_entry(v, g, vaddr, &pa, &level);
	if (!e)
		return false;
	if (*e & ARCH_PTE_FRAME)
		return false;
	/* The CPU must not see one valid translation turn into another (Arm ARM, D8.14: break before make). */
	if (unlikely(pte_valid(*e) && pte_addr(*e) != pa)) {
		*e = 0;
		arch_root_flush(g ? g->root_reg : v->root_reg);
	}
	*e = pte_make(pa, rights, false, level);
	return true;
}

/*
 * Fill count pages from vaddr on, all of one last-level table, from the guest's entries for them: one look-up for all.
 * Only those that need nothing but filling. What is filled already stays, or with `anew` gets the rights of now.
 */
static void fill_run(struct vspace *v, struct guestspace *g, u64 vaddr, const u64 *guest, u64 count, bool anew)
{
	const u64 need = L4_PTE_VALID | L4_PTE_USER | L4_PTE_ACCESSED | L4_PTE_READ | L4_PTE_LEAF;
	u64 *shadow = table_entry(v, g, g->root, vaddr, 0, true);

	if (!shadow)
		return;
	for (u64 k = 0; k < count; k++) {
		u64 e = READ_ONCE(guest[k]), pa;

		if ((e & need) != need || (pte_valid(shadow[k]) && !anew) ||
		    !vspace_guest_memory(v, e & L4_PTE_ADDR_MASK, L4_PAGE_SIZE, &pa) ||
		    (pte_valid(shadow[k]) && pte_addr(shadow[k]) != pa))
			continue;
		shadow[k] = pte_make(pa, guest_rights(e) & ~(e & L4_PTE_DIRTY ? 0 : L4_RIGHT_WRITE), false, 0);
		event(anew ? EVENT_FILL_HINT : EVENT_FILL_AROUND, vaddr + k * L4_PAGE_SIZE, 0);
	}
	/* The look-up noted the first. */
	table_note_use(v, &shadow[count - 1]);
}

/* Neighbours of a page that missed, in the same table, if accessed before: their use is likely. */
static void fill_around(struct vspace *v, struct guestspace *g, u64 vaddr, const u64 *guest_leaf)
{
	u64 behind = vaddr >> L4_PAGE_BITS & (AROUND - 1);

	fill_run(v, g, align_down(vaddr, AROUND * L4_PAGE_SIZE), guest_leaf - behind, AROUND, false);
}

/*
 * Resolve a miss at vaddr from the guest's table: of GuestSpace g, or, with g NULL, of the guest kernel's own
 * VSpace. False if the guest has to see it; *present then tells whether a valid leaf was found.
 */
bool guest_fill(struct vspace *v, struct guestspace *g, u64 guest_root, u64 vaddr, u32 access, u32 *present)
{
	u64 e, *leaf, wanted, size;
	int level;

	*present = 0;
	if (vaddr >= ARCH_USER_TOP || !aligned(guest_root, L4_PAGE_SIZE)) /* NEVER is not aligned */
		return false;
	leaf = guest_walk(v, guest_root, vaddr, &e, &level);
	if (!leaf)
		return false;
	*present = 1;
	size = level_span(level);
	if (!!(e & L4_PTE_USER) != !!g || (guest_rights(e) & access) != access ||
	    !vspace_guest_memory(v, e & L4_PTE_ADDR_MASK & ~(size - 1), size, NULL))
		return false;
	wanted = e | L4_PTE_ACCESSED | (access & L4_RIGHT_WRITE ? L4_PTE_DIRTY : 0);
	/* If somebody else has changed the entry, the access is repeated and finds what is there then. */
	if (wanted != e && !__atomic_compare_exchange_n(leaf, &e, wanted, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
		return true;
	while (!install(v, g, vaddr, wanted, level))
		if (!table_make_place(v, g, vaddr))
			return false;
	event(EVENT_FILL, vaddr, wanted);
	if (g && !level)
		fill_around(v, g, vaddr, leaf);
	return true;
}

/* Pages that the guest has just made valid. */
void guestspace_hint(struct guestspace *g, u64 vaddr, u64 pages)
{
	while (pages && vaddr < ARCH_USER_TOP && g->guest_root != NEVER) {
		u64 count = min_u64(pages, 512 - (vaddr >> L4_PAGE_BITS & 511)), e;
		const u64 *leaf;
		int level;

		count = min_u64(count, (ARCH_USER_TOP - vaddr) >> L4_PAGE_BITS);
		leaf = guest_walk(g->vspace, g->guest_root, vaddr, &e, &level);
		if (!leaf || level)
			return;
		fill_run(g->vspace, g, vaddr, leaf, count, true);
		vaddr += count * L4_PAGE_SIZE;
		pages -= count;
	}
}

error_t guestspace_invoke(struct invocation *i)
{
	struct guestspace *g = SLOT_OBJECT(i->slot, guestspace);
	struct work work = WORK_PREEMPTIBLE;
	struct slot *cap;

	if (i->op > L4_GUESTSPACE_FLUSH)
		return L4_ERR_OP;
	if (!(i->slot->rights & L4_RIGHT_WRITE))
		return L4_ERR_RIGHTS;
	if (i->op == L4_GUESTSPACE_CONFIGURE) {
		error_t error = cap_lookup_type(i->caller, i->arg[0], L4_TYPE_VSPACE, L4_RIGHT_WRITE, &cap);

		if (error)
			return error;
		if (g->vspace)
			return L4_ERR_BUSY;
		slot_hold(&g->vspace_slot, cap, HELD_SPACE);
		g->vspace = SLOT_OBJECT(cap, vspace);
		g->epoch = g->vspace->epoch;
		list_add_tail(&g->vspace->spaces, &g->link);
		return L4_ERR_OK;
	}
	if (!g->vspace)
		return L4_ERR_UNBOUND;
	if (g->epoch != g->vspace->epoch)
		guestspace_reset(g);
	if (i->op == L4_GUESTSPACE_FLUSH) {
		i->again = !guestspace_flush(g, L4_FLUSH_RANGE, &i->arg[0], i->arg[1], &work);
		return L4_ERR_OK;
	}
	if (i->arg[0] != NEVER) {
		if (!aligned(i->arg[0], L4_PAGE_SIZE))
			return L4_ERR_ALIGN;
		if (!vspace_guest_memory(g->vspace, i->arg[0], L4_PAGE_SIZE, NULL))
			return L4_ERR_RANGE;
	}
	guestspace_flush(g, L4_FLUSH_ROOT, &i->arg[0], 0, &work);
	return L4_ERR_OK;
}
