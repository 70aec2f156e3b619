/* SPDX-License-Identifier: GPL-2.0-only */
/* The guest: memory, Linux, one virtual CPU, GuestSpaces, and the few capabilities it has. */
#include "../platform/platform.h"
#include "root.h"

#define VSPACE_BITS 24 /* its pool holds the shadow tables of all its processes */
#define CNODE_BITS  (8 + L4_CNODE_SLOT_BITS)
#define DTB_MAX     0x10000

static unsigned long thread;

/* Where a piece of the guest may lie: in its RAM, and not on the device pages. */
static void load_at(u64 gpa, u64 mem_size, const void *from, u64 bytes, const char *what)
{
	u64 devices_end = L4_GUEST_DEVICE_GPA + L4_DEVICES * (u64)L4_PAGE_SIZE;

	if (gpa > guest_memory.bytes || mem_size > guest_memory.bytes - gpa)
		fail("%s does not fit the guest's memory of %lu MiB", what, guest_memory.bytes >> 20);
	if (gpa < devices_end && gpa + mem_size > L4_GUEST_DEVICE_GPA)
		fail("%s lies on the device pages", what);
	memcpy((void *)(GUEST_VADDR + gpa), from, bytes);
	l4_code_written((void *)(GUEST_VADDR + gpa), bytes);
}

static void load(void)
{
	u64 linux_end = 0, initrd = ~(u64)0, gpa;
	const struct l4_image_segment *segment;
	bool have_linux = false, have_dtb = false;
	unsigned int i;

	for (i = 0; (segment = image_segment(i)); i++) {
		if (image_is(segment, "linux") && segment->kind == L4_SEGMENT_PROGRAM) {
			if (segment->vaddr < L4_GUEST_RAM_VADDR)
				fail("linux is linked outside of the guest's memory");
			gpa = segment->vaddr - L4_GUEST_RAM_VADDR;
			load_at(gpa, segment->mem_size, image_data(segment), segment->file_size, "linux");
			if (linux_end < gpa + segment->mem_size)
				linux_end = gpa + segment->mem_size;
			have_linux = true;
		} else if (image_is(segment, "dtb") && segment->kind == L4_SEGMENT_BLOB) {
			if (segment->file_size > DTB_MAX)
				fail("the device tree is larger than 64 KiB");
			load_at(L4_GUEST_DTB_GPA, segment->file_size, image_data(segment), segment->file_size,
			        "the device tree");
			have_dtb = true;
		} else if (image_is(segment, "initrd") && segment->kind == L4_SEGMENT_BLOB) {
			initrd = segment->vaddr;
			load_at(initrd, segment->file_size, image_data(segment), segment->file_size, "the initrd");
		}
	}
	/* The device tree is below Linux. */
	if (initrd < linux_end)
		fail("the initrd lies on linux");
	if (!have_linux || !have_dtb)
		fail("boot image has no %s", have_linux ? "device tree" : "linux");
}

static void make_memory(unsigned long vspace)
{
	unsigned long loader[L4_GUEST_REGIONS];
	unsigned int i;

	for (i = 0; i < guest_memory.count; i++) {
		const struct region *region = &guest_memory.region[i];

		check(l4_vspace_map(vspace, cap_copy(region->frame), L4_GUEST_RAM_VADDR + region->gpa, RWX, 0),
		      "map of guest RAM");
		check(l4_vspace_attach(vspace, cap_copy(region->frame), region->gpa), "attach of guest RAM");
		loader[i] = cap_copy(region->frame);
		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, loader[i], GUEST_VADDR + region->gpa, RW, 0),
		      "map of guest RAM to load Linux");
	}
	load();
	for (i = 0; i < guest_memory.count; i++)
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, loader[i]), "unmap of guest RAM");
}

static void make_spaces(unsigned long cnode, unsigned long vspace)
{
	unsigned long space = object_alloc(L4_TYPE_GUESTSPACE, 0, L4_GUEST_SPACES);
	unsigned int i;

	for (i = 0; i < L4_GUEST_SPACES; i++) {
		check(l4_guestspace_configure(space + i, vspace), "configuration of a GuestSpace");
		check(l4_cnode_copy(cnode, L4_GUEST_SLOT_SPACE + i, L4_ROOT_SLOT_CNODE, space + i, L4_RIGHT_WRITE),
		      "GuestSpace for the guest");
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, space + i), "delete of a GuestSpace's first capability");
	}
}

void guest_create(void)
{
	unsigned long vspace = object_alloc(L4_TYPE_VSPACE, VSPACE_BITS, 1);
	unsigned long cnode = object_alloc(L4_TYPE_CNODE, CNODE_BITS, 1);
	unsigned long vcpu = object_alloc(L4_TYPE_VCPU, 0, 1);
	unsigned long sched = object_alloc(L4_TYPE_SCHED_CONTEXT, 0, 1);
	struct l4_frame frame;
	unsigned int i;

	thread = object_alloc(L4_TYPE_THREAD, 0, 1);
	make_memory(vspace);
	make_spaces(cnode, vspace);
	for (i = 0; i < L4_DEVICES; i++)
		check(l4_cnode_mint(cnode, L4_GUEST_SLOT_KICK + i, L4_ROOT_SLOT_CNODE, servers[i].event, L4_RIGHT_WRITE,
		                    L4_SERVER_EVENT_KICK),
		      "kick of a device");
	check(l4_cnode_mint(cnode, L4_GUEST_SLOT_ROOT, L4_ROOT_SLOT_CNODE, root_endpoint, L4_RIGHT_WRITE,
	                    BADGE_CALL | BADGE_GUEST),
	      "Endpoint for the guest");
	check(l4_cnode_copy(cnode, L4_SLOT_LOG, L4_ROOT_SLOT_CNODE, L4_SLOT_LOG, L4_RIGHT_READ), "log for the guest");
	check(l4_control_sched_configure(L4_ROOT_SLOT_CONTROL, sched, PERIOD_US, PERIOD_US), "time for the guest");
	check(l4_thread_configure(thread, cnode, vspace, L4_GUEST_UTCB_VADDR,
	                          cap_mint(root_endpoint, L4_RIGHT_WRITE | L4_RIGHT_GRANT, BADGE_FAULT | BADGE_GUEST)),
	      "thread of the guest");
	check(l4_thread_bind_vcpu(thread, vcpu, L4_GUEST_VCPU_VADDR), "vCPU of the guest");
	check(l4_thread_bind_notification(thread, guest_notification), "events of the guest");
	check(l4_thread_set_sched(thread, sched, GUEST_PRIORITY, GUEST_PRIORITY), "priority of the guest");
	l4_frame_init(&frame, image_entry("linux"), 0, L4_GUEST_VCPU_VADDR, L4_GUEST_RAM_VADDR + L4_GUEST_DTB_GPA,
	              plat_wallclock());
	check(l4_thread_write_regs(thread, l4_utcb, &frame), "registers of the guest");
}

void guest_start(void) { check(l4_thread_resume(thread), "start of the guest"); }
