// SPDX-License-Identifier: GPL-2.0-only
/* VSpace: its life and its invocations. paging/ has the tables, guest/memory.c the ranges of its guest. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/frame.h>
#include <kernel/paging.h>
#include <arch/pte.h>

#define FRAMES_AT_ONCE 64

/* Header and descriptors, root table, pool; descriptors take as many pages as they need. */
void vspace_init(struct object *o)
{
	struct vspace *v = (struct vspace *)o;
	u64 pages = BIT(o->size_bits - L4_PAGE_BITS);
	u64 head = align_up(sizeof(*v) + pages * sizeof(struct table), L4_PAGE_SIZE) / L4_PAGE_SIZE;

	v->tables = (struct table *)(v + 1);
	v->root = (u64 *)((char *)o + head * L4_PAGE_SIZE);
	v->pool = (char *)v->root + L4_PAGE_SIZE;
	v->pool_pages = v->pool_free = pages - head - 1;
	list_init(&v->frames);
	list_init(&v->threads);
	list_init(&v->vcpus);
	list_init(&v->spaces);
	list_init(&v->holders);
	v->epoch = guest_memory_new_epoch();
	v->root_reg = arch_root_init(v->root);
}

/*
 * Threads and GuestSpaces are gone: they hold a capability. The Frames forget it, some at a time; meanwhile they may
 * still be unmapped one by one.
 */
bool vspace_destroy(struct object *o)
{
	struct vspace *v = (struct vspace *)o;

	assert(list_empty(&v->threads) && list_empty(&v->spaces) && list_empty(&v->holders));
	for (u32 k = 0; k < FRAMES_AT_ONCE && !list_empty(&v->frames); k++)
		frame_forget(container_of(v->frames.next, struct slot, in_vspace));
	if (!list_empty(&v->frames))
		return false;
	/* Nobody may be left on its tables when their memory is used for something else. */
	arch_root_destroy(v->root_reg);
	return true;
}

/* MAP: a Frame, at an address of the VSpace. */
static error_t map(struct invocation *i, struct vspace *v)
{
	struct slot *frame;
	u64 vaddr = i->arg.vspace_map.vaddr, rights = i->arg.vspace_map.rights, uncached = i->arg.vspace_map.uncached,
	    size;
	error_t error = cap_lookup_type(i->caller, i->arg.vspace_map.frame_cap, L4_TYPE_FRAME, 0, &frame);

	if (error)
		return error;
	if (!(rights & L4_RIGHT_READ) || rights & ~(u64)L4_RIGHT_ALL || uncached > 1)
		return L4_ERR_ARG;
	if (rights & ~(frame->rights | (u64)L4_RIGHT_GRANT))
		return L4_ERR_RIGHTS;
	/* Cached and uncached views of the same memory disagree: what L4 cleared may not have left the cache. */
	if (uncached && frame->kind != L4_MEM_DEVICE)
		return L4_ERR_ARG;
	size = BIT(frame->size_bits);
	if (!aligned(vaddr, frame->size_bits >= L4_LARGE_PAGE_BITS ? BIT(L4_LARGE_PAGE_BITS) : L4_PAGE_SIZE))
		return L4_ERR_ALIGN;
	if (!vspace_has_range(v, vaddr, size))
		return L4_ERR_RANGE;
	vaddr = arch_table_address(vaddr);
	if (frame->use != SLOT_UNUSED)
		return L4_ERR_MAPPED;
	stop_users_of_space(v);
	error = vspace_map_range(v, vaddr, frame->object, size, rights, uncached);
	if (!error)
		frame_use(frame, FRAME_MAPPED, v, vaddr);
	return error;
}

/* ATTACH: a Frame becomes memory of the guest. */
static error_t attach(struct invocation *i, struct vspace *v)
{
	struct slot *frame;
	u64 gpa = i->arg.vspace_attach.gpa;
	error_t error = cap_lookup_type(i->caller, i->arg.vspace_attach.frame_cap, L4_TYPE_FRAME, L4_RIGHT_ALL, &frame);

	if (error)
		return error;
	if (!aligned(gpa, L4_PAGE_SIZE))
		return L4_ERR_ALIGN;
	if (frame->use != SLOT_UNUSED)
		return L4_ERR_MAPPED;
	/* L4 reads guest memory through its own mapping, which has RAM only. */
	if (frame->kind != L4_MEM_RAM)
		return L4_ERR_ARG;
	stop_users_of_space(v);
	error = guest_memory_add(v, gpa, frame);
	if (!error)
		frame_use(frame, FRAME_ATTACHED, v, gpa);
	return error;
}

static u32 guest_modes; /* that a VSpace may have here */

/*
 * Nobody gets a mode that a guest kernel can break out of, since that would give him the machine, unless the boot image
 * asks for such a one: it allows none that holds.
 */
u32 vspace_allow_modes(u32 wanted)
{
	u32 all = arch_guest_modes(), strong = all & ~arch_weak_modes();

	guest_modes = wanted & all && !(wanted & strong) ? all : strong;
	return guest_modes;
}

/* GUEST: from now on it is a guest kernel's. */
static error_t make_guest(struct invocation *i, struct vspace *v)
{
	u64 mode = i->arg.vspace_guest.guest_mode;
	error_t error;

	if (mode > L4_GUEST_ABOVE || !(guest_modes & BIT(mode)))
		return L4_ERR_ARG;
	if (v->guest || !list_empty(&v->frames) || !list_empty(&v->threads) || !list_empty(&v->spaces) ||
	    !list_empty(&v->holders))
		return L4_ERR_BUSY;
	error = arch_vspace_guest(v, mode);
	if (!error) {
		v->guest = true;
		v->above = mode == L4_GUEST_ABOVE;
	}
	return error;
}

error_t vspace_invoke(struct invocation *i)
{
	struct vspace *v = SLOT_OBJECT(i->slot, vspace);

	if (i->op > L4_VSPACE_GUEST)
		return L4_ERR_OP;
	if (!(i->slot->rights & (i->op == L4_VSPACE_INFO ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	switch (i->op) {
	case L4_VSPACE_MAP:
		return map(i, v);
	case L4_VSPACE_ATTACH:
		return attach(i, v);
	case L4_VSPACE_GUEST:
		return make_guest(i, v);
	default:
		i->result.vspace_info.pool_pages = v->pool_pages;
		i->result.vspace_info.pool_free = v->pool_free;
		return L4_ERR_OK;
	}
}
