// SPDX-License-Identifier: GPL-2.0-only
/* GuestSpace: its life, its root, and what of it is dropped. See guestspace.h. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/mode.h>
#include <kernel/paging.h>
#include <kernel/preempt.h>

/* The place of [start, end) if that is not empty, and translated by tables that are known. */
static inline struct guest_place *place_of(struct guestspace *g, u64 start, u64 end)
{
	struct guest_place *p = guestspace_place(g, start);

	return start < end && p->at == start >> L4_LARGE_PAGE_BITS && p->at == (end - 1) >> L4_LARGE_PAGE_BITS ? p
	                                                                                                       : NULL;
}

/* Known tables of the guest's that translate any address in [start, end). */
static inline void forget_tables(struct guestspace *g, u64 start, u64 end)
{
	struct guest_place *p = guestspace_place(g, start);

	if (start >> L4_LARGE_PAGE_BITS != (end - 1) >> L4_LARGE_PAGE_BITS)
		for (p = g->place; p < g->place + GUEST_PLACES; p++)
			p->guest = NULL;
	else if (p->at == start >> L4_LARGE_PAGE_BITS)
		p->guest = NULL;
}

static void forget_places(struct guestspace *g)
{
	for (struct guest_place *p = g->place; p < g->place + GUEST_PLACES; p++)
		p->at = NEVER;
}

void guestspace_init(struct object *o)
{
	struct guestspace *g = (struct guestspace *)o;

	_Static_assert(sizeof(*g) <= L4_PAGE_SIZE, "guestspace size");
	g->root = (u64 *)((char *)o + L4_PAGE_SIZE);
	g->guest_root = NEVER;
	forget_places(g);
	list_init(&g->link);
	g->root_reg = arch_root_init(g->root);
}

/*
 * The table pages go back to the pool as they are and are cleaned when they are used again, so the cost does not depend
 * on their number.
 */
void guestspace_reset(struct guestspace *g)
{
	event(EVENT_FLUSH_SPACE, (u64)g, 0);
	for (u32 w = 0; w < ARCH_ROOT_ENTRIES / 64; w++) {
		for (u64 bits = g->used[w]; bits; bits &= bits - 1)
			g->root[w * 64 + __builtin_ctzl(bits)] = 0;
		g->used[w] = 0;
	}
	pool_give_back(g->vspace, g);
	forget_places(g);
	g->epoch = g->vspace->epoch;
	root_flush(g->root_reg);
}

/* Its VSpace's capability is revoked, or it goes itself: it is no longer configured. */
static void leave(struct guestspace *g)
{
	mode_leave_all(g->vspace, g, L4_ERR_CANCELLED);
	vspace_forget(g->vspace);
	guestspace_reset(g);
	list_remove(&g->link);
	arch_space_join(g->root, g->root_reg, NULL);
	g->vspace = NULL;
	g->epoch = 0;
	g->guest_root = NEVER;
	slot_drop(&g->vspace_slot);
}

void guestspace_forget(struct guestspace *g)
{
	if (g->vspace)
		vspace_forget(g->vspace);
}

void guestspace_lost(struct slot *held) { leave(container_of(held, struct guestspace, vspace_slot)); }

bool guestspace_destroy(struct object *o)
{
	struct guestspace *g = (struct guestspace *)o;

	if (g->vspace)
		leave(g);
	arch_root_destroy(g->root_reg);
	return true;
}

bool guestspace_flush(struct guestspace *g, u32 op, u64 *start, u64 end, struct work *work)
{
	enum table_change how = op == L4_FLUSH_PROTECT ? TABLE_PROTECT : TABLE_CLEAR;
	const struct guest_place *p = place_of(g, *start, end);
	bool done = true;

	if (op == L4_FLUSH_ROOT) {
		guestspace_reset(g);
		g->guest_root = aligned(*start, L4_PAGE_SIZE) && guest_memory(g->vspace, *start, L4_PAGE_SIZE, NULL)
		                        ? *start
		                        : NEVER;
		return true;
	}
	event(EVENT_FLUSH, *start, end);
	if (op == L4_FLUSH_RANGE && !*start && end >= ARCH_USER_TOP) {
		guestspace_reset(g);
		return true;
	}
	if (op == L4_FLUSH_RANGE)
		forget_tables(g, *start, end);
	if (p && p->shadow)
		table_change_pages(g->vspace, p->shadow + level_index(*start, 0), p->shadow + level_index(end - 1, 0),
		                   how);
	else if (g->tables)
		done = table_change(g->vspace, g->root, start, min_u64(end, ARCH_USER_TOP), how, work);
	root_flush(g->root_reg);
	return done;
}

error_t guestspace_invoke(struct invocation *i)
{
	struct guestspace *g = SLOT_OBJECT(i->slot, guestspace);
	u64 *gpa = &i->arg.guestspace_set_root.gpa;
	struct work work = WORK_PREEMPTIBLE;
	struct slot *cap;

	if (i->op > L4_GUESTSPACE_FLUSH)
		return L4_ERR_OP;
	if (!(i->slot->rights & L4_RIGHT_WRITE))
		return L4_ERR_RIGHTS;
	if (i->op == L4_GUESTSPACE_CONFIGURE) {
		error_t error = cap_lookup_type(i->caller, i->arg.guestspace_configure.vspace_cap, L4_TYPE_VSPACE,
		                                L4_RIGHT_WRITE, &cap);

		if (error)
			return error;
		if (g->vspace)
			return L4_ERR_BUSY;
		stop_users_of_space(SLOT_OBJECT(cap, vspace));
		slot_hold(&g->vspace_slot, cap, HELD_SPACE);
		g->vspace = SLOT_OBJECT(cap, vspace);
		g->epoch = g->vspace->epoch;
		list_add_tail(&g->vspace->spaces, &g->link);
		arch_space_join(g->root, g->root_reg, g->vspace);
		return L4_ERR_OK;
	}
	if (!g->vspace)
		return L4_ERR_UNBOUND;
	stop_users_of_space(g->vspace);
	if (g->epoch != g->vspace->epoch)
		guestspace_reset(g);
	if (i->op == L4_GUESTSPACE_FLUSH) {
		i->again = !guestspace_flush(g, L4_FLUSH_RANGE, &i->arg.guestspace_flush.start,
		                             i->arg.guestspace_flush.end, &work);
		return L4_ERR_OK;
	}
	if (*gpa != NEVER) {
		if (!aligned(*gpa, L4_PAGE_SIZE))
			return L4_ERR_ALIGN;
		if (!guest_memory(g->vspace, *gpa, L4_PAGE_SIZE, NULL))
			return L4_ERR_RANGE;
	}
	guestspace_flush(g, L4_FLUSH_ROOT, gpa, 0, &work);
	return L4_ERR_OK;
}
