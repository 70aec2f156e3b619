// SPDX-License-Identifier: GPL-2.0-only
/* Frame: its life as a mapping or as guest memory, and access to device registers without a mapping. See frame.h. */
#include <kernel/arch.h>
#include <kernel/frame.h>
#include <kernel/mode.h>
#include <kernel/paging.h>
#include <kernel/preempt.h>

void frame_use(struct slot *s, enum slot_use use, struct vspace *v, u64 where)
{
	s->use = use;
	s->where = where;
	s->vspace = v;
	list_add_tail(&v->frames, &s->in_vspace);
}

void frame_forget(struct slot *s)
{
	list_remove(&s->in_vspace);
	s->use = SLOT_UNUSED;
	s->vspace = NULL;
	s->where = 0;
}

/* Its capability was copied from slot `from` to `to`, which takes its place in the VSpace. */
void frame_moved(struct slot *from, struct slot *to)
{
	list_init(&to->in_vspace);
	if (to->use == SLOT_UNUSED)
		return;
	list_insert_before(&from->in_vspace, &to->in_vspace);
	list_remove(&from->in_vspace);
	guest_memory_moved(to->vspace, from, to);
}

/*
 * The guest loses this memory: no translation to it and no register frame in it may stay. What was filled into the
 * VSpace's own tree is left for frame_release() to clear.
 */
static void start_detach(struct vspace *v, struct slot *s)
{
	guest_memory_remove(v, s);
	mode_leave_all(v, NULL, L4_ERR_RANGE);
	v->sweep_at = 0;
	s->use = FRAME_DETACHING;
}

bool frame_release(struct slot *s, struct work *work)
{
	struct vspace *v = s->vspace;
	bool done = true;

	if (s->use == FRAME_ATTACHED)
		start_detach(v, s);
	if (s->use == FRAME_MAPPED)
		table_clear_range(v, v->root, s->where, s->where + BIT(s->size_bits));
	else
		done = vspace_change(v, &v->sweep_at, NEVER, TABLE_CLEAR_FILLED, work);
	root_flush(v->root_reg);
	if (!done)
		return false;
	frame_forget(s);
	return true;
}

/*
 * LOAD and STORE: a device's registers for a driver that does not map them, so that a stray store of the driver cannot
 * reach them.
 */
static error_t access(struct invocation *i, bool store)
{
	struct slot *s = i->slot;
	/* LOAD's arguments are the first ones of STORE. */
	u64 offset = i->arg.frame_store.offset, width = i->arg.frame_store.width,
	    value = store ? i->arg.frame_store.value : 0;

	if (!(s->rights & (store ? L4_RIGHT_WRITE : L4_RIGHT_READ)))
		return L4_ERR_RIGHTS;
	if (s->kind != L4_MEM_DEVICE || (width != 1 && width != 2 && width != 4))
		return L4_ERR_ARG;
	if (!aligned(offset, width))
		return L4_ERR_ALIGN;
	if (offset >= BIT(s->size_bits))
		return L4_ERR_RANGE;
	offset = index_nospec(offset, BIT(s->size_bits));
	if (!arch_device_access(s->object + offset, width, store, &value))
		return L4_ERR_RANGE;
	if (!store)
		i->result.frame_load.value = value;
	return L4_ERR_OK;
}

error_t frame_invoke(struct invocation *i)
{
	struct slot *s = i->slot;
	struct work work = WORK_PREEMPTIBLE;

	switch (i->op) {
	case L4_FRAME_UNMAP:
		if (s->use == SLOT_UNUSED)
			return L4_ERR_UNMAPPED;
		stop_users_of_space(s->vspace);
		i->again = !frame_release(s, &work);
		return L4_ERR_OK;
	case L4_FRAME_INFO:
		if (!(s->rights & L4_RIGHT_READ))
			return L4_ERR_RIGHTS;
		i->result.frame_info.paddr = s->object;
		i->result.frame_info.size_bits = s->size_bits;
		return L4_ERR_OK;
	case L4_FRAME_LOAD:
	case L4_FRAME_STORE:
		return access(i, i->op == L4_FRAME_STORE);
	default:
		return L4_ERR_OP;
	}
}
