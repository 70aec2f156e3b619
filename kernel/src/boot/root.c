// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the architecture's boot to the root pager: its objects, its program from the boot image, and the rest of the
 * machine as Untypeds. The only place where the kernel takes memory for itself.
 */
#include <abi_hash.h>
#include <kernel/arch.h>
#include <kernel/boot.h>
#include <kernel/cnode.h>
#include <kernel/debug.h>
#include <kernel/entry.h>
#include <kernel/mode.h>
#include <kernel/sched.h>
#include <kernel/vspace.h>

#define ROOT_VSPACE_BITS 20

/* Make an object of the root pager's. */
static void *make(struct boot_machine *m, u8 type, u8 bits)
{
	struct object *o = boot_alloc(m, bits);

	o->type = type;
	o->size_bits = bits;
	object_init(o);
	return o;
}

/* Put a capability of an object into the root pager's CNode. */
static void give(struct cnode *c, u64 index, u8 type, u64 object)
{
	struct slot *s = cnode_slot(c, index);

	s->type = type;
	s->rights = L4_RIGHT_ALL;
	s->object = object;
	if (type != L4_TYPE_CONTROL && type != L4_TYPE_IOPORT)
		((struct object *)object)->refs++;
	else if (type == L4_TYPE_IOPORT)
		s->ports.last = ARCH_IOPORTS - 1;
}

/* An error while the root pager is built is a bug, or a machine without memory. */
static void must(error_t error, const char *what)
{
	if (error)
		panic("%s: error %u", what, error);
}

/* Copy the segments of program "root" and map them. Returns its entry point. */
static u64 load_program(struct boot_machine *m, struct vspace *v)
{
	const struct l4_image_header *h = arch_ptr(m->image_pa);
	const struct l4_image_segment *s = (const void *)(h + 1);
	u64 entry = 0;

	if (m->image_size < sizeof(*h) || h->magic != L4_IMAGE_MAGIC)
		panic("no boot image");
	if (h->abi_hash != L4_ABI_HASH)
		panic("boot image is for ABI %lx, kernel has %lx", h->abi_hash, L4_ABI_HASH);
	if (h->size > m->image_size || h->segment_count > (h->size - sizeof(*h)) / sizeof(*s))
		panic("boot image is damaged");
	for (u32 i = 0; i < h->segment_count; i++, s++) {
		if (memcmp(s->program, "root", 5) || s->kind != L4_SEGMENT_PROGRAM)
			continue;
		if (!aligned(s->vaddr, L4_PAGE_SIZE) || s->file_size > s->mem_size || s->offset > h->size ||
		    s->file_size > h->size - s->offset || s->vaddr >= ARCH_USER_TOP ||
		    s->mem_size > ARCH_USER_TOP - s->vaddr)
			panic("root pager's segment %u is damaged", i);
		for (u64 at = 0; at < s->mem_size; at += L4_PAGE_SIZE) {
			char *page = boot_alloc(m, L4_PAGE_BITS);

			if (at < s->file_size)
				memcpy(page, (const char *)h + s->offset + at,
				       min_u64(L4_PAGE_SIZE, s->file_size - at));
			if (s->rights & L4_RIGHT_EXEC)
				arch_code_written(page, L4_PAGE_SIZE);
			must(vspace_map_page(v, s->vaddr + at, arch_pa(page), s->rights), "map root pager");
		}
		entry = s->entry;
	}
	if (!entry)
		panic("boot image has no root pager");
	return entry;
}

/* Make Untypeds of a range: cut it into naturally aligned powers of two. */
static void make_untypeds(struct cnode *c, struct l4_boot_info *info, const struct boot_range *r, u32 kind)
{
	for (u64 at = align_up(r->start, L4_PAGE_SIZE); at + L4_PAGE_SIZE <= r->end;) {
		u32 bits = at ? __builtin_ctzl(at) : L4_UNTYPED_MAX_BITS;
		struct slot *s;

		if (bits > L4_UNTYPED_MAX_BITS)
			bits = L4_UNTYPED_MAX_BITS;
		while (at + BIT(bits) > r->end)
			bits--;
		if (info->untyped_count == L4_BOOT_UNTYPED_MAX)
			return;
		info->untyped[info->untyped_count] = (struct l4_boot_untyped){ at, bits, kind };
		s = cnode_slot(c, L4_ROOT_SLOT_UNTYPED + info->untyped_count++);
		s->type = L4_TYPE_UNTYPED;
		s->rights = L4_RIGHT_ALL;
		s->size_bits = bits;
		s->kind = kind;
		s->object = at;
		at += BIT(bits);
	}
}

/* Build the root pager and run it. Does not return: the boot stack is the kernel stack of all later entries. */
void boot_root_pager(struct boot_machine *m)
{
	struct cnode *c = make(m, L4_TYPE_CNODE, L4_ROOT_CNODE_BITS + L4_CNODE_SLOT_BITS);
	struct vspace *v = make(m, L4_TYPE_VSPACE, ROOT_VSPACE_BITS);
	struct thread *t = make(m, L4_TYPE_THREAD, L4_THREAD_BITS);
	struct sched_context *sc = make(m, L4_TYPE_SCHED_CONTEXT, L4_PAGE_BITS);
	struct l4_boot_info *info = boot_alloc(m, L4_PAGE_BITS);
	u64 entry = load_program(m, v);

	cpus_start();
	for (u64 at = L4_ROOT_STACK_TOP - L4_ROOT_STACK_SIZE; at < L4_ROOT_STACK_TOP; at += L4_PAGE_SIZE)
		must(vspace_map_page(v, at, arch_pa(boot_alloc(m, L4_PAGE_BITS)), L4_RIGHT_READ | L4_RIGHT_WRITE),
		     "map stack");
	must(vspace_map_page(v, L4_ROOT_BOOT_INFO_VADDR, arch_pa(info), L4_RIGHT_READ), "map boot_info");
	must(vspace_map_page(v, L4_ROOT_UTCB_VADDR, arch_pa(t->utcb), L4_RIGHT_READ | L4_RIGHT_WRITE), "map UTCB");

	dump_set_root(c);
	t->priority = L4_ROOT_PRIORITY;
	t->max_priority = L4_PRIORITIES - 1;
	must(sched_context_configure(sc, L4_BUDGET_MAX_US, L4_BUDGET_MAX_US, cpus[0]), "root's SchedContext");
	t->sc = sc;
	sc->thread = t;
	t->cnode = c;

	give(c, L4_ROOT_SLOT_CNODE, L4_TYPE_CNODE, (u64)c);
	give(c, L4_ROOT_SLOT_VSPACE, L4_TYPE_VSPACE, (u64)v);
	give(c, L4_ROOT_SLOT_THREAD, L4_TYPE_THREAD, (u64)t);
	give(c, L4_ROOT_SLOT_SCHED, L4_TYPE_SCHED_CONTEXT, (u64)sc);
	give(c, L4_ROOT_SLOT_CONTROL, L4_TYPE_CONTROL, 0);
	give(c, L4_SLOT_LOG, L4_TYPE_CONTROL, 0);
	cnode_slot(c, L4_SLOT_LOG)->rights = L4_RIGHT_READ;
	if (ARCH_IOPORTS)
		give(c, L4_ROOT_SLOT_IOPORT, L4_TYPE_IOPORT, 0);
	slot_hold(&t->cnode_slot, cnode_slot(c, L4_ROOT_SLOT_CNODE), HELD_CNODE);
	slot_hold(&t->sched_slot, cnode_slot(c, L4_ROOT_SLOT_SCHED), HELD_SCHED);
	sc->owner = t;
	thread_join_vspace(t, cnode_slot(c, L4_ROOT_SLOT_VSPACE), L4_ROOT_UTCB_VADDR);
	thread_set_own_mode(t);

	info->magic = L4_BOOT_MAGIC;
	info->abi_hash = L4_ABI_HASH;
	info->version = L4_ABI_VERSION;
	info->counter_hz = m->counter_hz;
	info->image_paddr = m->image_pa;
	info->image_size = m->image_size;
	info->firmware_table = m->firmware_table;
	info->ram_size = m->ram_size;
	info->cpus = cpu_count;
	info->kernel_size = m->kernel_size;
	info->guest_modes = vspace_allow_modes(((const struct l4_image_header *)arch_ptr(m->image_pa))->guest_modes);
	info->weak_modes = arch_weak_modes();
	for (u32 kind = L4_MEM_RAM; kind <= L4_MEM_LOG; kind++)
		for (u32 i = 0; i < m->ranges; i++)
			if (m->range[i].kind == kind)
				make_untypeds(c, info, &m->range[i], kind);

	frame_start(thread_frame(t), entry, L4_ROOT_STACK_TOP, L4_ROOT_BOOT_INFO_VADDR, L4_ROOT_UTCB_VADDR);
	trace_announce();
	printk("l4: %lu MiB RAM, counter %lu kHz, %u untypeds, root pager at %lx\n", m->ram_size >> 20,
	       m->counter_hz / 1000, info->untyped_count, entry);
	sched_wake(t);
	trap_exit();
	arch_return_to_user();
}
