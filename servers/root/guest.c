/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests: loaded, given what they have, started. */
#include <abi_servers.h>
#include <abi_boot.h>
#include <base/lib.h>
#include <l4/invoke.h>
#include <platform/platform.h>

#include "guest.h"
#include "image.h"
#include "memory.h"
#include "messages.h"
#include "report.h"

#define VSPACE_BITS 24 /* its pool holds the shadow tables of all its processes */
#define CNODE_BITS  (8 + L4_CNODE_SLOT_BITS)
#define DTB_MAX     0x10000
#define PRIORITY    100
#define PERIOD_US   10000

void guest_init(struct guest *guest, const struct system_guest *system, unsigned int number, u64 ram)
{
	guest->system = system;
	guest->number = number;
	guest_memory_alloc(&guest->memory, ram);
	guest->notification = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
}

/* Copy a piece to where it may lie: in the guest's RAM, and not on the pages of its virtio devices. */
static void load_at(struct guest *guest, u64 gpa, u64 mem_size, const void *from, u64 bytes, const char *what)
{
	u64 devices_end = L4_GUEST_DEVICE_GPA + system_fronts(guest->number) * (u64)L4_PAGE_SIZE;

	if (gpa > guest->memory.bytes || mem_size > guest->memory.bytes - gpa)
		fail("%s does not fit the guest's memory of %lu MiB", what, guest->memory.bytes >> 20);
	if (gpa < devices_end && gpa + mem_size > L4_GUEST_DEVICE_GPA)
		fail("%s lies on the device pages", what);
	memcpy((void *)(GUEST_VADDR + gpa), from, bytes);
	l4_code_written((void *)(GUEST_VADDR + gpa), bytes);
}

/* Where the pieces of a guest lie; the device tree is below the kernel. */
struct pieces {
	u64 kernel_end, archive;
	bool have_kernel, have_tree;
};

static void load_kernel(struct guest *guest, const struct l4_image_segment *segment, struct pieces *pieces)
{
	const char *name = guest->system->kernel;
	u64 gpa = segment->vaddr - guest->place.image;

	if (segment->vaddr < guest->place.image)
		fail("%s is linked outside of the guest's memory", name);
	load_at(guest, gpa, segment->mem_size, image_data(segment), segment->file_size, name);
	if (pieces->kernel_end < gpa + segment->mem_size)
		pieces->kernel_end = gpa + segment->mem_size;
	pieces->have_kernel = true;
}

static void load_blob(struct guest *guest, const struct l4_image_segment *segment, struct pieces *pieces)
{
	if (image_is(segment, guest->system->device_tree)) {
		if (segment->file_size > DTB_MAX)
			fail("the device tree is larger than 64 KiB");
		load_at(guest, L4_GUEST_DTB_GPA, segment->file_size, image_data(segment), segment->file_size,
		        "the device tree");
		pieces->have_tree = true;
	} else if (image_is(segment, guest->system->archive)) {
		pieces->archive = segment->vaddr;
		load_at(guest, segment->vaddr, segment->file_size, image_data(segment), segment->file_size,
		        "the initrd");
	}
}

static void load(struct guest *guest)
{
	struct pieces pieces = { .archive = ~(u64)0 };
	const struct l4_image_segment *segment;
	unsigned int i;

	for (i = 0; (segment = image_segment(i)); i++) {
		if (segment->kind == L4_SEGMENT_BLOB)
			load_blob(guest, segment, &pieces);
		else if (image_is(segment, guest->system->kernel))
			load_kernel(guest, segment, &pieces);
	}
	if (pieces.archive < pieces.kernel_end)
		fail("the initrd lies on %s", guest->system->kernel);
	if (!pieces.have_kernel || !pieces.have_tree)
		fail("boot image has no %s", pieces.have_kernel ? "device tree" : guest->system->kernel);
}

static const struct guest_place low_place = { L4_GUEST_RAM_VADDR, L4_GUEST_RAM_VADDR, L4_GUEST_VCPU_VADDR,
                                              L4_GUEST_UTCB_VADDR },
				high_place = { L4_LINUX_RAM_VADDR, L4_LINUX_IMAGE_VADDR, L4_LINUX_VCPU_VADDR,
				               L4_LINUX_UTCB_VADDR };

/* Why the guest's kernel does not run above its programs. */
static const char *why_beside(u64 wanted)
{
	if (!(wanted >> L4_GUEST_ABOVE & 1))
		return "as the boot image says";
	return boot_info->weak_modes >> L4_GUEST_ABOVE & 1 ? "since it could break out of mode above on this machine"
	                                                   : "since this machine has no mode above";
}

/*
 * The kernel tells by its entry in which half of the address space it lives: only in the upper half it may run above its
 * programs. It gets the highest mode that the boot image allows and the machine has; one that it can break out of only
 * where the boot image allows no other.
 */
static void choose_mode(struct guest *guest)
{
	const char *kernel = guest->system->kernel;
	bool high = L4_LINUX_IMAGE_VADDR != L4_GUEST_RAM_VADDR && image_entry(kernel) >= L4_LINUX_IMAGE_VADDR;
	u64 wanted = image_guest_modes(), here = boot_info->guest_modes & (high ? ~(u64)0 : 1UL << L4_GUEST_BESIDE);
	u64 usable = wanted & here, strong = usable & ~boot_info->weak_modes, choice = strong ? strong : usable;
	u64 mode = choice >> L4_GUEST_ABOVE & 1 ? L4_GUEST_ABOVE : L4_GUEST_BESIDE;

	if (!usable)
		fail("%s cannot run above its programs: %s", kernel,
		     high ? "this machine has no such mode" : "it is not in the upper half");
	guest->place = high ? high_place : low_place;
	if (!high)
		return;
	check(l4_vspace_guest(guest->vspace, mode), "upper half for the guest's kernel");
	if (mode == L4_GUEST_BESIDE)
		say("%s runs beside its programs, %s\n", kernel, why_beside(wanted));
	else
		say("%s runs above its programs%s\n", kernel,
		    strong ? "" : ", as the boot image says, and could break out on this machine");
}

/* A region of RAM at an address of the guest kernel; return the capability by which it is mapped. */
static unsigned long map_region(const struct guest *guest, const struct region *region, u64 vaddr)
{
	unsigned long cap = cap_copy(region->frame);

	check(l4_vspace_map(guest->vspace, cap, vaddr, RIGHTS_RWX, 0), "map of guest RAM");
	return cap;
}

/* Map and attach its RAM, and map it for the root pager while its pieces are loaded. */
static void make_memory(struct guest *guest)
{
	unsigned long loader[L4_GUEST_REGIONS];
	unsigned int i;

	for (i = 0; i < guest->memory.count; i++) {
		const struct region *region = &guest->memory.region[i];

		guest->mapped[i] = map_region(guest, region, guest->place.ram + region->gpa);
		if (guest->place.image != guest->place.ram && !region->gpa)
			guest->mapped_image = map_region(guest, region, guest->place.image);
		check(l4_vspace_attach(guest->vspace, cap_copy(region->frame), region->gpa), "attach of guest RAM");
		loader[i] = cap_copy(region->frame);
		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, loader[i], GUEST_VADDR + region->gpa, RIGHTS_RW, 0),
		      "map of guest RAM to load Linux");
	}
	load(guest);
	for (i = 0; i < guest->memory.count; i++)
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, loader[i]), "unmap of guest RAM");
}

static void make_spaces(const struct guest *guest)
{
	unsigned long space = object_alloc(L4_TYPE_GUESTSPACE, 0, L4_GUEST_SPACES);
	unsigned int i;

	for (i = 0; i < L4_GUEST_SPACES; i++) {
		check(l4_guestspace_configure(space + i, guest->vspace), "configuration of a GuestSpace");
		check(l4_cnode_copy(guest->cnode, L4_GUEST_SLOT_SPACE + i, L4_ROOT_SLOT_CNODE, space + i,
		                    L4_RIGHT_WRITE),
		      "GuestSpace for the guest");
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, space + i), "delete of a GuestSpace's first capability");
	}
}

static void make_thread(struct guest *guest)
{
	unsigned long vcpu = object_alloc(L4_TYPE_VCPU, 0, 1), sched = object_alloc(L4_TYPE_SCHED_CONTEXT, 0, 1);
	struct l4_frame frame;

	guest->thread = object_alloc(L4_TYPE_THREAD, 0, 1);
	check(l4_control_sched_configure(L4_ROOT_SLOT_CONTROL, sched, PERIOD_US, PERIOD_US, 0), "time for the guest");
	check(l4_thread_configure(guest->thread, guest->cnode, guest->vspace, guest->place.utcb,
	                          messages_fault_handler(BADGE_GUEST_FAULT | guest->number)),
	      "thread of the guest");
	check(l4_thread_bind_vcpu(guest->thread, vcpu, guest->place.vcpu), "vCPU of the guest");
	check(l4_thread_bind_notification(guest->thread, guest->notification), "events of the guest");
	check(l4_thread_set_sched(guest->thread, sched, PRIORITY, PRIORITY), "priority of the guest");
	l4_frame_init(&frame, image_entry(guest->system->kernel), 0, guest->place.vcpu,
	              guest->place.ram + L4_GUEST_DTB_GPA, platform_wallclock());
	check(l4_thread_write_regs(guest->thread, l4_utcb, &frame), "registers of the guest");
}

void guest_create(struct guest *guest)
{
	guest->vspace = object_alloc(L4_TYPE_VSPACE, VSPACE_BITS, 1);
	guest->cnode = object_alloc(L4_TYPE_CNODE, CNODE_BITS, 1);
	choose_mode(guest);
	make_memory(guest);
	make_spaces(guest);
	check(l4_cnode_copy(guest->cnode, L4_GUEST_SLOT_ROOT, L4_ROOT_SLOT_CNODE,
	                    messages_sender(BADGE_GUEST_CALL | guest->number), L4_RIGHT_WRITE),
	      "Endpoint for the guest");
	check(l4_cnode_copy(guest->cnode, L4_SLOT_LOG, L4_ROOT_SLOT_CNODE, L4_SLOT_LOG, L4_RIGHT_READ),
	      "log for the guest");
	make_thread(guest);
}

void guest_connect(struct guest *guest, unsigned int front, unsigned long kick)
{
	check(l4_cnode_copy(guest->cnode, L4_GUEST_SLOT_KICK + front, L4_ROOT_SLOT_CNODE, kick, L4_RIGHT_WRITE),
	      "kick of a device");
}

static void unmap(unsigned long *cap)
{
	if (*cap)
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, *cap), "unmap of guest RAM");
	*cap = 0;
}

void guest_unmap_ram(struct guest *guest)
{
	unsigned int i;

	for (i = 0; i < guest->memory.count; i++)
		unmap(&guest->mapped[i]);
	unmap(&guest->mapped_image);
}

void guest_start(struct guest *guest) { check(l4_thread_resume(guest->thread), "start of the guest"); }
