// SPDX-License-Identifier: GPL-2.0-only
/*
 * The ranges of memory that a VSpace's guest owns. Everything that L4 reads of a guest by a guest-physical address
 * comes through guest_memory().
 */
#include <kernel/arch.h>
#include <kernel/vcpu.h>
#include <kernel/vspace.h>

static inline const struct region *find_region(const struct vspace *v, u64 gpa, u64 size)
{
	for (u32 r = 0; r < v->region_count; r++) {
		u64 offset = gpa - v->region[r].gpa;

		if (likely(offset < v->region[r].size && size <= v->region[r].size - offset))
			return &v->region[r];
	}
	return NULL;
}

const struct region *guest_region(const struct vspace *v, u64 gpa, u64 size) { return find_region(v, gpa, size); }

void *guest_memory(struct vspace *v, u64 gpa, u64 size, u64 *pa)
{
	const struct region *r = find_region(v, gpa, size);
	u64 offset;

	if (unlikely(!r))
		return NULL;
	offset = gpa - r->gpa;
	/* Tables: what a guess of the CPU reads there would lead it on. Register frames are only stored here. */
	if (size == L4_PAGE_SIZE)
		offset = index_nospec(offset, r->size);
	if (pa)
		*pa = r->pa + offset;
	return arch_ptr(r->pa + offset);
}

u64 guest_memory_new_epoch(void)
{
	static u64 last;

	return ++last;
}

error_t guest_memory_add(struct vspace *v, u64 gpa, struct slot *frame)
{
	u64 size = BIT(frame->size_bits);

	if (gpa > L4_PTE_ADDR_MASK - size)
		return L4_ERR_RANGE;
	if (v->region_count == L4_GUEST_REGIONS)
		return L4_ERR_MEMORY;
	for (u32 r = 0; r < v->region_count; r++)
		if (gpa < v->region[r].gpa + v->region[r].size && v->region[r].gpa < gpa + size)
			return L4_ERR_BUSY;
	v->region[v->region_count++] = (struct region){ gpa, size, frame->object, frame };
	return L4_ERR_OK;
}

void vspace_forget(struct vspace *v)
{
	for (struct list *l = v->vcpus.next; l != &v->vcpus; l = l->next)
		vcpu_forget(container_of(l, struct vcpu, link));
}

/* L4 no longer writes to a region that goes (VCPU_PREEMPTED). */
static void forget_words(struct vspace *v, const struct region *r)
{
	const char *start = arch_ptr(r->pa);

	for (struct list *l = v->vcpus.next; l != &v->vcpus; l = l->next) {
		struct vcpu *vcpu = container_of(l, struct vcpu, link);

		if ((u64)vcpu->preempted - (u64)start < r->size)
			vcpu_tell_nobody(vcpu);
	}
}

/* Nothing new can name it from here on. GuestSpaces are reset before their next use, because the epoch is new. */
void guest_memory_remove(struct vspace *v, const struct slot *frame)
{
	u32 r = 0;

	while (v->region[r].slot != frame)
		r++;
	forget_words(v, &v->region[r]);
	v->region[r] = v->region[--v->region_count];
	v->region[v->region_count].size = 0; /* the first one is looked at without a look at the count */
	v->epoch = guest_memory_new_epoch();
	vspace_forget(v);
}

void guest_memory_moved(struct vspace *v, const struct slot *from, struct slot *to)
{
	for (u32 r = 0; r < v->region_count; r++)
		if (v->region[r].slot == from)
			v->region[r].slot = to;
}
