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

#define DTB_MAX 0x10000

void guest_init(struct guest *guest, const struct system_guest *system, unsigned int number, u64 ram)
{
	guest->system = system;
	guest->number = number;
	guest_memory_alloc(&guest->memory, ram);
	vcpus_init(&guest->vcpus, number, &guest->memory);
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
	u64 gpa = segment->vaddr - guest->vcpus.place.image;

	if (segment->vaddr < guest->vcpus.place.image)
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

static const struct vcpu_place low_place = { L4_GUEST_RAM_VADDR, L4_GUEST_RAM_VADDR, L4_GUEST_VCPU_VADDR,
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
	guest->vcpus.place = high ? high_place : low_place;
	guest->vcpus.upper_half = high;
	guest->vcpus.mode = mode;
	if (!high)
		return;
	if (mode == L4_GUEST_BESIDE)
		say("%s runs beside its programs, %s\n", kernel, why_beside(wanted));
	else
		say("%s runs above its programs%s\n", kernel,
		    strong ? "" : ", as the boot image says, and could break out on this machine");
}

/* Map its RAM for the root pager while its pieces are loaded. */
static void load_memory(struct guest *guest)
{
	unsigned long loader[L4_GUEST_REGIONS];
	unsigned int i;

	for (i = 0; i < guest->memory.count; i++) {
		loader[i] = cap_copy(guest->memory.region[i].frame);
		check(l4_vspace_map(L4_ROOT_SLOT_VSPACE, loader[i], GUEST_VADDR + guest->memory.region[i].gpa,
		                    RIGHTS_RW, 0),
		      "map of guest RAM to load Linux");
	}
	load(guest);
	for (i = 0; i < guest->memory.count; i++)
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, loader[i]), "unmap of guest RAM");
}

void guest_create(struct guest *guest)
{
	choose_mode(guest);
	load_memory(guest);
	vcpus_take_memory(&guest->vcpus);
	vcpu_make(&guest->vcpus, 0, image_entry(guest->system->kernel), guest->vcpus.place.ram + L4_GUEST_DTB_GPA,
	          platform_wallclock());
}

void guest_start(struct guest *guest) { vcpu_resume(&guest->vcpus, 0); }
