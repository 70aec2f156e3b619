// SPDX-License-Identifier: GPL-2.0-only
/* VSpace: mapping of Frames, and the ranges of memory that belong to its guest. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/vspace.h>

#define FRAMES_AT_ONCE 64

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
	list_init(&v->spaces);
	v->root_reg = arch_root_init(v->root);
}

/*
 * Threads and GuestSpaces are gone: they hold a capability. The Frames forget it, some at a time; meanwhile they may
 * still be unmapped one by one.
 */
bool vspace_destroy(struct object *o)
{
	struct vspace *v = (struct vspace *)o;

	assert(list_empty(&v->threads) && list_empty(&v->spaces));
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
	while (unlikely(!(*e = table_entry(v, NULL, v->root, vaddr, level, true)))) {
		int l;
		u64 *larger = table_lookup(v->root, vaddr, &l);

		if (larger && (*larger & ARCH_PTE_FRAME))
			return L4_ERR_MAPPED;
		if (larger) {
			*larger = 0;
			arch_root_flush(v->root_reg);
		} else if (!table_make_room(v, NULL)) {
			return L4_ERR_MEMORY;
		}
	}
	return **e & ARCH_PTE_FRAME ? L4_ERR_MAPPED : L4_ERR_OK;
}

/* Is any Frame mapped in [start, end)? */
static bool occupied(u64 *table, int level, u64 start, u64 end)
{
	u64 size = 1UL << (L4_PAGE_BITS + 9 * level);

	for (u64 at = start; at < end;) {
		u64 next = min_u64(align_down(at, size) + size, end);
		u64 e = table[at >> (L4_PAGE_BITS + 9 * level) & 511];

		if (pte_valid(e)) {
			if (pte_leaf(e, level) ? !!(e & ARCH_PTE_FRAME)
					       : occupied(arch_ptr(pte_addr(e)), level - 1, at, next))
				return true;
		}
		at = next;
	}
	return false;
}

static error_t map_range(struct vspace *v, u64 vaddr, u64 pa, u64 size, u32 rights, bool uncached)
{
	int level = size >= BIT(L4_LARGE_PAGE_BITS) ? 1 : 0;
	u64 step = level ? BIT(L4_LARGE_PAGE_BITS) : L4_PAGE_SIZE;

	/* One page is checked where it is written. */
	if (size > L4_PAGE_SIZE && occupied(v->root, ARCH_LEVELS - 1, vaddr, vaddr + size))
		return L4_ERR_MAPPED;
	for (u64 done = 0; done < size; done += step) {
		u64 *e;
		error_t error = leaf_for_map(v, vaddr + done, level, &e);

		if (error) {
			table_clear_range(v->root, vaddr, vaddr + done, false);
			return error;
		}
		/* What was filled from a guest's table goes before the Frame comes: see install(). */
		if (unlikely(pte_valid(*e))) {
			if (pte_leaf(*e, level))
				*e = 0;
			else
				table_make_way(v, e);
			arch_root_flush(v->root_reg);
		}
		*e = pte_make(pa + done, rights, uncached, level) | ARCH_PTE_FRAME;
	}
	arch_filled();
	return L4_ERR_OK;
}

error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights)
{
	return map_range(v, vaddr, pa, L4_PAGE_SIZE, rights, false);
}

void vspace_unmap_page(struct vspace *v, u64 vaddr)
{
	table_clear_range(v->root, vaddr, vaddr + L4_PAGE_SIZE, false);
	arch_root_flush(v->root_reg);
}

/* Kernel address of guest-physical [gpa, gpa + size), or NULL if it is not inside one region. */
void *vspace_guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa)
{
	for (u32 r = 0; r < v->region_count; r++) {
		u64 offset = gpa - v->region[r].gpa;

		if (likely(offset < v->region[r].size && size <= v->region[r].size - offset)) {
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

/* The guest loses this memory: no translation to it and no register frame in it may stay. */
static void detach(struct vspace *v, struct slot *s)
{
	u32 r = 0;

	while (v->region[r].slot != s)
		r++;
	v->region[r] = v->region[--v->region_count];
	for (struct list *l = v->threads.next; l != &v->threads; l = l->next) {
		struct thread *t = container_of(l, struct thread, in_vspace);

		if (t->in_guest_user)
			vcpu_leave_user(t, L4_EXIT_ERROR, L4_ERR_RANGE);
	}
	for (struct list *l = v->spaces.next; l != &v->spaces; l = l->next)
		guestspace_reset(container_of(l, struct guestspace, link));
	table_clear_range(v->root, 0, ARCH_USER_TOP, true);
	arch_root_flush(v->root_reg);
}

void frame_release(struct slot *s)
{
	struct vspace *v = s->vspace;

	if (s->use == FRAME_MAPPED) {
		table_clear_range(v->root, s->badge, s->badge + BIT(s->size_bits), false);
		arch_root_flush(v->root_reg);
	} else {
		detach(v, s);
	}
	list_remove(&s->in_vspace);
	s->use = SLOT_UNUSED;
	s->vspace = NULL;
	s->badge = 0;
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
	if (offset >= BIT(s->size_bits) || !arch_device_access(s->object + offset, width, store, &value))
		return L4_ERR_RANGE;
	if (!store)
		i->result[0] = value;
	return L4_ERR_OK;
}

error_t frame_invoke(struct invocation *i)
{
	struct slot *s = i->slot;

	switch (i->op) {
	case L4_FRAME_UNMAP:
		if (s->use == SLOT_UNUSED)
			return L4_ERR_UNMAPPED;
		frame_release(s);
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
