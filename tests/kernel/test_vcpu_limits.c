/* SPDX-License-Identifier: GPL-2.0-only */
/* vCPU: entries that fault themselves or that no CPU can take, and how many vCPUs a VSpace has. */
#include "guest.h"

static void with_unmapped_entry(struct helper *self)
{
	vcpu->kernel_entry = guest_own + 0x1000;
	*(volatile u64 *)guest_own = 1;
}

/* A fault in the upcall entry itself goes to the fault Endpoint: an upcall would fault again, for ever. */
GUEST_SCENE(vcpu_entry_that_faults_goes_to_the_fault_endpoint)
{
	struct sys r;

	guest_make(with_unmapped_entry);
	helper_start(guest.helper);
	r = helper_fault(guest.helper);
	EQ(LABEL(r.tag), L4_FAULT_VCPU);
	EQ(r.m[0], L4_EXIT_FAULT);
	EQ(r.m[1], guest_own + 0x1000);
	EQ(r.m[2], guest_own + 0x1000);
	EQ(r.m[3], 1);
}

/* In L4's half; in neither half, as no CPU's instruction pointer may be. */
static u64 user_entry;

static void bad_user_entry(struct helper *self)
{
	vcpu->kernel_entry = 0;
	vcpu->user_entry = user_entry;
	vcpu->kernel_sp = 0x1234;
	user_call(PROGRAM(load), CODE_VADDR, 0);
	SYS(L4_SYS_VCPU_ENTER, guest.space[0], 0);
}

GUEST_SCENE(vcpu_bad_user_entry_hurts_only_the_guest)
{
	user_entry = 0xffff800000001000;
	guest_make(bad_user_entry);
	helper_start(guest.helper);
	CHECK(LABEL(helper_fault(guest.helper).tag) != 0);
}

GUEST_SCENE(vcpu_user_entry_in_no_half_hurts_only_the_guest)
{
	user_entry = 0x7fffffffffffffff;
	guest_make(bad_user_entry);
	helper_start(guest.helper);
	CHECK(LABEL(helper_fault(guest.helper).tag) != 0);
}

static int resolve_third(void) { return upcall.count % 3 == 0; }

/* Repeated faults of one instruction are no such case if VCPU_RESUME comes in between. */
GUEST_TEST(vcpu_faults_at_one_place_are_upcalls)
{
	u64 value;

	upcall.resolve = resolve_third;
	for (int i = 0; i < 40; i++)
		EQ(arch_try_load(guest_own, &value), 1);
	upcall.resolve = 0;
	CHECK(upcall.count >= 40);
}

#define VCPUS 64

/* The number of vCPUs of a VSpace is limited, because detaching guest memory stops all of them. */
TEST(vcpu_most_of_one_vspace)
{
	u64 vspace = obj_new(L4_TYPE_VSPACE, 18), thread = slots_new(VCPUS + 1), cpu = slots_new(VCPUS + 1);

	MUST(retype(test_untyped, L4_TYPE_THREAD, 0, thread, VCPUS + 1));
	MUST(retype(test_untyped, L4_TYPE_VCPU, 0, cpu, VCPUS + 1));
	for (u64 i = 0; i <= VCPUS; i++) {
		u64 page = TEST_VADDR + 2 * i * L4_PAGE_SIZE;

		MUST(INV(thread + i, L4_THREAD_CONFIGURE, L4_ROOT_SLOT_CNODE, vspace, page, 0));
		EQ(INV(thread + i, L4_THREAD_BIND_VCPU, cpu + i, page + L4_PAGE_SIZE).error,
		   i < VCPUS ? L4_ERR_OK : L4_ERR_MEMORY);
	}
	ERR(slot_delete(cpu), OK);
	ERR(INV(thread + VCPUS, L4_THREAD_BIND_VCPU, cpu + VCPUS, TEST_VADDR + (2 * VCPUS + 1) * L4_PAGE_SIZE), OK);
}

#define STOPPED_FIRST 5
#define STOPPED_COUNT 4000 /* of objects, which no RETYPE makes without a stop */

static struct {
	u64 untyped, one, other, inside, tries, error, after;
} stopped;

static struct sys retype_to(u64 cnode, u64 count)
{
	return INV(stopped.untyped, L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, cnode, STOPPED_FIRST, count);
}

/* Another RETYPE of the Untyped, into a CNode of which the second slot is taken; then whether the first still is not. */
static int retype_in_upcall(void)
{
	if (!stopped.inside)
		return 0;
	stopped.inside = 0;
	stopped.tries++;
	stopped.error = retype_to(stopped.other, STOPPED_COUNT).error;
	stopped.after = retype_to(stopped.other, 1).error;
	return 0;
}

static void retypes_in_upcalls(struct helper *self)
{
	upcall.event = retype_in_upcall;
	vcpu->irq_enabled = 1;
	for (u64 i = 1; i < 200 && !stopped.tries; i++) {
		ERR(SYS(L4_SYS_VCPU_TIMER, 0, l4_counter() + vcpu->counter_hz / 200000 * i), OK);
		stopped.inside = 1;
		ERR(retype_to(stopped.one, STOPPED_COUNT), OK);
		stopped.inside = 0;
		vcpu->irq_enabled = 0;
		ERR(slot_revoke(stopped.untyped), OK);
		vcpu->irq_enabled = 1;
	}
	EQ(stopped.tries, 1);
	EQ(stopped.error, L4_ERR_OCCUPIED);
	EQ(stopped.after, L4_ERR_OK);
}

/* What a RETYPE that stopped has found in one CNode says nothing of another's, for which an upcall makes the next. */
TEST(vcpu_retype_in_an_upcall_looks_at_its_slots)
{
	memset(&stopped, 0, sizeof(stopped));
	stopped.untyped = obj_new(L4_TYPE_UNTYPED, 20);
	stopped.one = obj_new(L4_TYPE_CNODE, 12 + L4_CNODE_SLOT_BITS);
	stopped.other = obj_new(L4_TYPE_CNODE, 12 + L4_CNODE_SLOT_BITS);
	ERR(INV(obj_new(L4_TYPE_UNTYPED, 12), L4_UNTYPED_RETYPE, L4_TYPE_ENDPOINT, 0, stopped.other, STOPPED_FIRST + 1,
	        1),
	    OK);
	guest_make(retypes_in_upcalls);
	guest_run();
}
