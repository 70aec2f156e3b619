// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mapping into a VSpace's own tree: Frames, UTCBs, vCPU pages. Their leaves have ARCH_PTE_FRAME and are never evicted;
 * leaves that were filled from the guest's table give way.
 */
#include <kernel/arch.h>
#include <kernel/fill.h>
#include <kernel/paging.h>
#include <kernel/vspace.h>

bool vspace_upper_range(const struct vspace *v, u64 vaddr, u64 size)
{
	u64 at = arch_table_address(vaddr), start, end;

	for (u32 n = 0; v->guest && arch_canonical(at) == vaddr && n < ARCH_GUEST_RANGES; n++) {
		arch_guest_range(n, &start, &end);
		if (at >= start && at < end)
			return size <= end - at;
	}
	return false;
}

bool vspace_change_ranges(struct vspace *v, u64 *at, u64 end, enum table_change how, struct work *work)
{
	u64 first, last;

	if (*at < ARCH_USER_TOP && !table_change(v, v->root, at, min_u64(end, ARCH_USER_TOP), how, work))
		return false;
	for (u32 n = 0; v->guest && n < ARCH_GUEST_RANGES; n++) {
		arch_guest_range(n, &first, &last);
		last = min_u64(last, end);
		if (*at < first)
			*at = first;
		if (*at < last && !table_change(v, v->root, at, last, how, work))
			return false;
	}
	return true;
}

/* Entry for a Frame's leaf. A larger leaf filled from a guest's table gives way. */
static error_t leaf_for_map(struct vspace *v, u64 vaddr, int level, u64 **e)
{
	int l;

	while (unlikely(!(*e = table_entry(v, NULL, v->root, vaddr, level, true))))
		if (!evict_for(v, NULL, vaddr))
			return table_lookup(v->root, vaddr, &l) ? L4_ERR_MAPPED : L4_ERR_MEMORY;
	return **e & ARCH_PTE_FRAME ? L4_ERR_MAPPED : L4_ERR_OK;
}

error_t vspace_map_range(struct vspace *v, u64 vaddr, u64 pa, u64 size, u32 rights, bool uncached)
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

		/* The next entry of the same table, which is not evicted: it holds a Frame. */
		if (done && level_index(vaddr + done, level))
			pool_note_use(v, ++e);
		else
			error = leaf_for_map(v, vaddr + done, level, &e);
		if (unlikely(!error && pte_valid(*e)))
			table_clear_leaf(e, v->root_reg);
		if (error) {
			table_clear_range(v, v->root, vaddr, vaddr + done);
			root_flush(v->root_reg);
			return error;
		}
		table_set_frame(v, e, vspace_leaf(v, vaddr + done, pte_make(pa + done, rights, uncached, level)),
		                level);
	}
	root_filled(v->root_reg);
	return L4_ERR_OK;
}

error_t vspace_map_page(struct vspace *v, u64 vaddr, u64 pa, u32 rights)
{
	return vspace_map_range(v, vaddr, pa, L4_PAGE_SIZE, rights, false);
}

void vspace_unmap_page(struct vspace *v, u64 vaddr)
{
	table_clear_range(v, v->root, vaddr, vaddr + L4_PAGE_SIZE);
	root_flush(v->root_reg);
}
