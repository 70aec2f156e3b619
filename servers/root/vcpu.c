/* SPDX-License-Identifier: GPL-2.0-only */
/* Virtual CPUs of a guest. */
#include <abi_boot.h>
#include <l4/invoke.h>

#include "calls.h"
#include "memory.h"
#include "messages.h"
#include "report.h"
#include "system.h"
#include "vcpu.h"

#define VSPACE_BITS 24 /* its pool holds the shadow tables of all processes that run on this vCPU */
#define CNODE_BITS  (8 + L4_CNODE_SLOT_BITS)
#define SPACES_BITS 20 /* GuestSpaces */
#define SMALL_BITS  16 /* all else */
#define SLOTS       32
#define PERIOD_US   10000

_Static_assert(L4_GUEST_SPACES << L4_GUESTSPACE_BITS <= 1 << SPACES_BITS, "GuestSpaces");
_Static_assert((1 << CNODE_BITS) + (1 << L4_THREAD_BITS) + (1 << L4_VCPU_BITS) + (1 << L4_SCHED_CONTEXT_BITS) <=
                       1 << SMALL_BITS,
               "all else");

void vcpus_init(struct vcpus *vcpus, unsigned int guest, const struct guest_memory *memory)
{
	unsigned int n;

	vcpus->guest = guest;
	vcpus->count = system_vcpus();
	vcpus->memory = memory;
	for (n = 0; n < vcpus->count; n++)
		vcpus->vcpu[n].notification = object_alloc(L4_TYPE_NOTIFICATION, 0, 1);
}

/* A pool that is filled and emptied with each life. The first vCPU lives as long as the machine. */
static void make_pool(struct vcpu *vcpu)
{
	static const unsigned long bits[VCPU_UNTYPEDS] = { SMALL_BITS, SPACES_BITS, VSPACE_BITS };
	unsigned int i;

	for (i = 0; i < VCPU_UNTYPEDS; i++)
		vcpu->untyped[i] = object_alloc(L4_TYPE_UNTYPED, bits[i], 1);
	vcpu->pool.owner = "a vCPU of the guest";
	vcpu->pool.untyped = vcpu->untyped;
	vcpu->pool.untypeds = VCPU_UNTYPEDS;
	vcpu->pool.first_slot = vcpu->pool.next_slot = slot_alloc(SLOTS);
	vcpu->pool.end_slot = vcpu->pool.first_slot + SLOTS;
}

void vcpus_take_memory(struct vcpus *vcpus)
{
	unsigned long badge;
	unsigned int n;

	for (n = 0; n < vcpus->count; n++) {
		struct vcpu *vcpu = &vcpus->vcpu[n];

		badge = (unsigned long)n << BADGE_VCPU_SHIFT | vcpus->guest;
		vcpu->call = calls_sender(messages_sender(BADGE_GUEST_CALL | badge));
		vcpu->fault = messages_fault_handler(BADGE_GUEST_FAULT | badge);
		vcpu->ipi = cap_mint(vcpu->notification, L4_RIGHT_WRITE, 1UL << L4_GUEST_EVENT_IPI);
		vcpu->life = memory_pool();
		if (n) {
			make_pool(vcpu);
			vcpu->life = &vcpu->pool;
		}
	}
	if (vcpus->count > 1)
		say("linux has %u vCPUs, with %u KiB each for L4's objects, on %lu CPUs\n", vcpus->count,
		    ((1 << VSPACE_BITS) + (1 << SPACES_BITS) + (1 << SMALL_BITS)) >> 10, boot_info->cpus);
}

/* A region of RAM at an address of the guest kernel; return the capability by which it is mapped. */
static unsigned long map_region(struct vcpu *vcpu, const struct region *region, u64 vaddr)
{
	unsigned long cap = pool_copy(vcpu->life, region->frame);

	check(l4_vspace_map(vcpu->vspace, cap, vaddr, RIGHTS_RWX, 0), "map of guest RAM");
	return cap;
}

static void make_memory(const struct vcpus *vcpus, struct vcpu *vcpu)
{
	unsigned int i;

	for (i = 0; i < vcpus->memory->count; i++) {
		const struct region *region = &vcpus->memory->region[i];

		vcpu->mapped[i] = map_region(vcpu, region, vcpus->place.ram + region->gpa);
		if (vcpus->place.image != vcpus->place.ram && !region->gpa)
			vcpu->mapped_image = map_region(vcpu, region, vcpus->place.image);
		check(l4_vspace_attach(vcpu->vspace, pool_copy(vcpu->life, region->frame), region->gpa),
		      "attach of guest RAM");
	}
}

static void give(const struct vcpu *vcpu, unsigned long slot, unsigned long cap, unsigned long rights)
{
	check(l4_cnode_copy(vcpu->cnode, slot, L4_ROOT_SLOT_CNODE, cap, rights), "capability for a vCPU");
}

static void make_spaces(struct vcpu *vcpu)
{
	unsigned long space = pool_slots(vcpu->life, 1);
	unsigned int i;

	for (i = 0; i < L4_GUEST_SPACES; i++) {
		pool_object_at(vcpu->life, space, L4_TYPE_GUESTSPACE, 0);
		check(l4_guestspace_configure(space, vcpu->vspace), "configuration of a GuestSpace");
		give(vcpu, L4_GUEST_SLOT_SPACE + i, space, L4_RIGHT_WRITE);
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, space), "delete of a GuestSpace's first capability");
	}
}

static void give_capabilities(const struct vcpus *vcpus, const struct vcpu *vcpu)
{
	unsigned int i;

	give(vcpu, L4_GUEST_SLOT_ROOT, vcpu->call, L4_RIGHT_WRITE);
	give(vcpu, L4_SLOT_LOG, L4_SLOT_LOG, L4_RIGHT_READ);
	for (i = 0; i < vcpus->count; i++)
		give(vcpu, L4_GUEST_SLOT_VCPU + i, vcpus->vcpu[i].ipi, L4_RIGHT_WRITE);
	for (i = 0; i < L4_GUEST_DEVICES; i++)
		if (vcpus->kick[i])
			give(vcpu, L4_GUEST_SLOT_KICK + i, vcpus->kick[i], L4_RIGHT_WRITE);
}

static void give_time(const struct vcpu *vcpu)
{
	check(l4_control_sched_configure(L4_ROOT_SLOT_CONTROL, vcpu->sched, PERIOD_US, PERIOD_US, vcpu->cpu),
	      "time for a vCPU");
}

/* The thread, whose events begin with none: what was signalled to an earlier life is dropped. */
static void make_thread(const struct vcpus *vcpus, unsigned int n, struct vcpu *vcpu, const struct l4_frame *frame)
{
	unsigned long page = pool_objects(vcpu->life, L4_TYPE_VCPU, 0, 1), bits;

	vcpu->sched = pool_objects(vcpu->life, L4_TYPE_SCHED_CONTEXT, 0, 1);
	vcpu->thread = pool_objects(vcpu->life, L4_TYPE_THREAD, 0, 1);
	vcpu->cpu = system_vcpu_cpu(n);
	give_time(vcpu);
	check(l4_thread_configure(vcpu->thread, vcpu->cnode, vcpu->vspace, vcpus->place.utcb, vcpu->fault),
	      "thread of a vCPU");
	check(l4_thread_bind_vcpu(vcpu->thread, page, vcpus->place.vcpu), "page of a vCPU");
	l4_poll(vcpu->notification, &bits);
	check(l4_thread_bind_notification(vcpu->thread, vcpu->notification), "events of a vCPU");
	check(l4_thread_set_sched(vcpu->thread, vcpu->sched, VCPU_PRIORITY, VCPU_PRIORITY), "priority of a vCPU");
	check(l4_thread_write_regs(vcpu->thread, l4_utcb, frame), "registers of a vCPU");
}

void vcpu_make(struct vcpus *vcpus, unsigned int n, u64 entry, u64 second, u64 third)
{
	struct vcpu *vcpu = &vcpus->vcpu[n];
	struct l4_frame frame;

	vcpu->vspace = pool_objects(vcpu->life, L4_TYPE_VSPACE, VSPACE_BITS, 1);
	vcpu->cnode = pool_objects(vcpu->life, L4_TYPE_CNODE, CNODE_BITS, 1);
	if (vcpus->upper_half)
		check(l4_vspace_guest(vcpu->vspace, vcpus->mode), "upper half for the guest's kernel");
	make_memory(vcpus, vcpu);
	l4_frame_init(&frame, entry, 0, vcpus->place.vcpu, second, third);
	make_thread(vcpus, n, vcpu, &frame);
	make_spaces(vcpu);
	give_capabilities(vcpus, vcpu);
}

void vcpu_resume(struct vcpus *vcpus, unsigned int n)
{
	vcpus->vcpu[n].runs = true;
	check(l4_thread_resume(vcpus->vcpu[n].thread), "start of a vCPU");
}

void vcpus_connect(struct vcpus *vcpus, unsigned int front, unsigned long kick)
{
	vcpus->kick[front] = kick;
	give(&vcpus->vcpu[0], L4_GUEST_SLOT_KICK + front, kick, L4_RIGHT_WRITE);
}

unsigned long vcpu_start(struct vcpus *vcpus, unsigned long n, u64 entry, u64 argument)
{
	if (n >= vcpus->count)
		return L4_ERR_RANGE;
	if (vcpus->vcpu[n].runs)
		return L4_ERR_STATE;
	vcpu_make(vcpus, (unsigned int)n, entry, argument, n);
	vcpu_resume(vcpus, (unsigned int)n);
	return L4_ERR_OK;
}

unsigned long vcpu_stop(struct vcpus *vcpus, unsigned int n)
{
	if (!n)
		return L4_ERR_STATE;
	pool_empty(vcpus->vcpu[n].life);
	vcpus->vcpu[n].runs = false;
	return L4_ERR_OK;
}

void vcpus_place(struct vcpus *vcpus)
{
	unsigned int n;

	for (n = 0; n < vcpus->count; n++) {
		struct vcpu *vcpu = &vcpus->vcpu[n];
		unsigned long cpu = system_vcpu_cpu(n);

		if (!vcpu->runs || vcpu->cpu == cpu)
			continue;
		say("vCPU %u goes from CPU %lu to CPU %lu\n", n, vcpu->cpu, cpu);
		vcpu->cpu = cpu;
		give_time(vcpu);
	}
}

static void unmap(unsigned long *cap)
{
	if (*cap)
		check(l4_cnode_delete(L4_ROOT_SLOT_CNODE, *cap), "unmap of guest RAM");
	*cap = 0;
}

void vcpu_unmap_ram(struct vcpus *vcpus, unsigned int n)
{
	struct vcpu *vcpu = &vcpus->vcpu[n];
	unsigned int i;

	for (i = 0; i < vcpus->memory->count; i++)
		unmap(&vcpu->mapped[i]);
	unmap(&vcpu->mapped_image);
}
