// SPDX-License-Identifier: GPL-2.0-only
/* VSpace: mapping of Frames, and the ranges of memory that belong to its guest. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/paging.h>
#include <kernel/vspace.h>

#define FRAMES_AT_ONCE 64

static u64 last_epoch; /* of all VSpaces */

/* Header and descriptors, root table, pool; descriptors take as many pages as they need. */
void vspace_init(void *memory, u8 size_bits)
{
	struct vspace *v = memory;
	u64 pages = BIT(size_bits - L4_PAGE_BITS);
	u64 head = align_up(sizeof(*v) + pages * sizeof(struct table), L4_PAGE_SIZE) / L4_PAGE_SIZE;

	v->tables = (struct table *)(v + 1);
	v->root = (u64 *)((char *)memory + head * L4_PAGE_SIZE);
	v->pool = (char *)v->root + L4_PAGE_SIZE;
	v->pool_pages = v->pool_free = pages - head - 1;
	list_init(&v->frames);
	list_init(&v->threads);
	list_init(&v->vcpus);
	list_init(&v->spaces);
	list_init(&v->holders);
	v->epoch = ++last_epoch;
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
	for (u32 k = 0; k < FRAMES_AT_ONCE && !list_empty(&v->frames); k++) {
		struct slot *s = container_of(v->frames.next, struct slot, in_vspace);

		list_remove(&s->in_vspace);
		s->vspace = NULL;
		s->use = SLOT_UNUSED;
		s->badge = 0;
	}
	if (!list_empty(&v->frames))
		return false;
	/* Nobody may be left on its tables when their memory is used for something else. */
	arch_root_destroy(v->root_reg);
	return true;
}

/* Entry for a Frame's leaf. A larger leaf filled from a guest's table gives way. */
static error_t leaf_for_map(struct vspace *v, u64 vaddr, int level, u64 **e)
{
	int l;

	while (unlikely(!(*e = table_entry(v, NULL, v->root, vaddr, level, true))))
		if (!table_make_place(v, NULL, vaddr))
			return table_lookup(v->root, vaddr, &l) ? L4_ERR_MAPPED : L4_ERR_MEMORY;
	return **e & ARCH_PTE_FRAME ? L4_ERR_MAPPED : L4_ERR_OK;
}

static error_t map_range(struct vspace *v, u64 vaddr, u64 pa, u64 size, u32 rights, bool uncached)
{
	int level = size >= BIT(L4_LARGE_PAGE_BITS) ? 1 : 0;
	u64 step = level_span(level), *e = NULL;

	/* One page is checked, and what was filled there cleared, where it is written. */
	if (size > L4_PAGE_SIZE) {
		if (table_has_frames(v, v->root, ARCH_LEVELS - 1, vaddr, vaddr + size))
			return L4_ERR_MAPPED;
		table_make_way(v, vaddr, vaddr + size, level);
	}
	for (u64 done = 0; done < size; done += step) {
		error_t error = L4_ERR_OK;

		/* The next entry of the same table is at hand: there is a Frame in it, so it has stayed. */
		if (done && level_index(vaddr + done, level))
			table_note_use(v, ++e);
		else
			error = leaf_for_map(v, vaddr + done, level, &e);
		/* The CPU must not see one translation turn into another: see install(). */
		if (unlikely(!error && pte_valid(*e))) {
			*e = 0;
			arch_root_flush(v->root_reg);
		}
		if (error) {
			table_clear_range(v, v->root, vaddr, vaddr + done);
			arch_root_flush(v->root_reg);
			return error;
		}
		table_set_frame(v, e, pte_make(pa + done, rights, uncached, level), level);
	}
	arch_filled(v->root_reg);
	return L4_ERR_OK;
}

error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights)
{
	return map_range(v, vaddr, pa, L4_PAGE_SIZE, rights, false);
}

void vspace_unmap_page(struct vspace *v, u64 vaddr)
{
	table_clear_range(v, v->root, vaddr, vaddr + L4_PAGE_SIZE);
	arch_root_flush(v->root_reg);
}

/* Kernel address of guest-physical [gpa, gpa + size), or NULL if it is not inside one region. */
void *vspace_guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa)
{
	for (u32 r = 0; r < v->region_count; r++) {
		u64 offset = gpa - v->region[r].gpa;

		if (likely(offset < v->region[r].size && size <= v->region[r].size - offset)) {
			/* Tables: what a guess of the CPU reads there would lead it on. Register frames are only loaded. */
			if (size == L4_PAGE_SIZE)
				offset = index_nospec(offset, v->region[r].size);
			if (pa)
				*pa = v->region[r].pa + offset;
			return arch_ptr(v->region[r].pa + offset);
		}
	}
	return NULL;
}

static void use(struct vspace *v, struct slot *s, enum slot_use how, u64 where)
{
	s->use = how;
	s->badge = where;
	s->vspace = v;
	list_add_tail(&v->frames, &s->in_vspace);
}

static error_t map(struct invocation *i, struct vspace *v)
{
	struct slot *frame;
	u64 vaddr = i->arg[1], rights = i->arg[2], size;
	error_t error = cap_lookup_type(i->caller, i->arg[0], L4_TYPE_FRAME, 0, &frame);

	if (error)
		return error;
	if (!(rights & L4_RIGHT_READ) || rights & ~(u64)L4_RIGHT_ALL || i->arg[3] > 1)
		return L4_ERR_ARG;
	if (rights & ~(frame->rights | (u64)L4_RIGHT_GRANT))
		return L4_ERR_RIGHTS;
	/* Cached and uncached views of the same memory disagree: what L4 cleared may not have left the cache. */
	if (i->arg[3] && frame->kind != L4_MEM_DEVICE)
		return L4_ERR_ARG;
	size = BIT(frame->size_bits);
	if (!aligned(vaddr, frame->size_bits >= L4_LARGE_PAGE_BITS ? BIT(L4_LARGE_PAGE_BITS) : L4_PAGE_SIZE))
		return L4_ERR_ALIGN;
	if (vaddr >= ARCH_USER_TOP || size > ARCH_USER_TOP - vaddr)
		return L4_ERR_RANGE;
	if (frame->use != SLOT_UNUSED)
		return L4_ERR_MAPPED;
	error = map_range(v, vaddr, frame->object, size, rights, i->arg[3]);
	if (!error)
		use(v, frame, FRAME_MAPPED, vaddr);
	return error;
}

static error_t attach(struct invocation *i, struct vspace *v)
{
	struct slot *frame;
	u64 gpa = i->arg[1], size;
	error_t error = cap_lookup_type(i->caller, i->arg[0], L4_TYPE_FRAME, L4_RIGHT_ALL, &frame);

	if (error)
		return error;
	size = BIT(frame->size_bits);
	if (!aligned(gpa, L4_PAGE_SIZE))
		return L4_ERR_ALIGN;
	if (frame->use != SLOT_UNUSED)
		return L4_ERR_MAPPED;
	/* L4 reads guest memory through its own mapping, which has RAM only. */
	if (frame->kind != L4_MEM_RAM)
		return L4_ERR_ARG;
	if (gpa > L4_PTE_ADDR_MASK - size)
		return L4_ERR_RANGE;
	if (v->region_count == L4_GUEST_REGIONS)
		return L4_ERR_MEMORY;
	for (u32 r = 0; r < v->region_count; r++)
		if (gpa < v->region[r].gpa + v->region[r].size && v->region[r].gpa < gpa + size)
			return L4_ERR_BUSY;
	v->region[v->region_count++] = (struct region){ gpa, size, frame->object, frame };
	use(v, frame, FRAME_ATTACHED, gpa);
	return L4_ERR_OK;
}

/*
 * The guest loses this memory: no translation to it and no register frame in it may stay. Nothing new can name it
 * from here on, and GuestSpaces are reset before their next use; what was filled into the VSpace's own tree is left
 * for frame_release() to clear.
 */
static void detach(struct vspace *v, struct slot *s)
{
	u32 r = 0;

	while (v->region[r].slot != s)
		r++;
	v->region[r] = v->region[--v->region_count];
	for (struct list *l = v->vcpus.next; l != &v->vcpus; l = l->next) {
		struct thread *t = container_of(l, struct vcpu, link)->thread;

		if (t->in_guest_user)
			vcpu_leave_user(t, L4_EXIT_ERROR, L4_ERR_RANGE);
	}
	v->epoch = ++last_epoch;
	v->sweep_at = 0;
	s->use = FRAME_DETACHING;
}

/* Undo MAP or ATTACH. False: preempted; call it again before the Frame is used for anything else. */
bool frame_release(struct slot *s, struct work *work)
{
	struct vspace *v = s->vspace;
	bool done = true;

	if (s->use == FRAME_ATTACHED)
		detach(v, s);
	if (s->use == FRAME_MAPPED)
		table_clear_range(v, v->root, s->badge, s->badge + BIT(s->size_bits));
	else
		done = table_change(v, v->root, &v->sweep_at, ARCH_USER_TOP, TABLE_CLEAR_FILLED, work);
	arch_root_flush(v->root_reg);
	if (!done)
		return false;
	list_remove(&s->in_vspace);
	s->use = SLOT_UNUSED;
	s->vspace = NULL;
	s->badge = 0;
	return true;
}

/* For a driver that has no registers in its address space, where a stray store would reach them. */
static error_t access(struct invocation *i, bool store)
{
	struct slot *s = i->slot;
	u64 offset = i->arg[0], width = i->arg[1], value = store ? i->arg[2] : 0;

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
		i->result[0] = value;
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
		i->again = !frame_release(s, &work);
		return L4_ERR_OK;
	case L4_FRAME_INFO:
		if (!(s->rights & L4_RIGHT_READ))
			return L4_ERR_RIGHTS;
		i->result[0] = s->object;
		i->result[1] = s->size_bits;
		return L4_ERR_OK;
	case L4_FRAME_LOAD:
	case L4_FRAME_STORE:
		return access(i, i->op == L4_FRAME_STORE);
	default:
		return L4_ERR_OP;
	}
}

error_t vspace_invoke(struct invocation *i)
{
	struct vspace *v = SLOT_OBJECT(i->slot, vspace);

	if (i->op > L4_VSPACE_INFO)
		return L4_ERR_OP;
	if (!(i->slot->rights & (i->op == L4_VSPACE_INFO ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	switch (i->op) {
	case L4_VSPACE_MAP:
		return map(i, v);
	case L4_VSPACE_ATTACH:
		return attach(i, v);
	default:
		i->result[0] = v->pool_pages;
		i->result[1] = v->pool_free;
		return L4_ERR_OK;
	}
}
