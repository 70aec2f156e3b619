// SPDX-License-Identifier: GPL-2.0-only
/* What a guest hears of: faults, exceptions and pending events of its vCPU's thread. */
#include <kernel/arch.h>
#include <kernel/fill.h>
#include <kernel/mode.h>

/* Called when the thread is about to run: deliver pending events, if the guest has them enabled. */
struct l4_vcpu_page *vcpu_exit_work(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	t->exit_work = false;
	if (!READ_ONCE(p->pending) || t->state != THREAD_RUN)
		return NULL;
	if (t->in_guest_user)
		return mode_leave(t, L4_EXIT_EVENT, 0);
	if (READ_ONCE(p->irq_enabled))
		mode_upcall(t, L4_EXIT_EVENT, 0);
	else if (vspace_above(t->vspace))
		mode_leave_exit(t);
	return NULL;
}

/*
 * A fault of mode above. The guest kernel reaches its user mode's memory too, through the same translations, where the
 * CPU lets it: an access that it did not mean is reported to it.
 */
static noinline bool fill_above(struct thread *t, u64 addr, u32 access, bool mapped, u32 *present)
{
	struct guestspace *g = t->vcpu->space;

	*present = 0;
	if (!t->in_guest_user) {
		if (addr >= ARCH_USER_TOP)
			return guest_fill(t->vspace, NULL, READ_ONCE(t->vcpu->page->kernel_root), addr, access,
			                  present);
		*present = mapped;
		if (access == L4_RIGHT_EXEC || (mapped && !frame_reaches_user(thread_frame(t))))
			return false;
	}
	return g && guest_fill(t->vspace, g, g->guest_root, addr, access, present);
}

/* The guest gets addr with the tag bits that the CPU ignores: it reports faults to its programs with them. */
struct l4_vcpu_page *vcpu_page_fault(struct thread *t, u64 addr, u32 access, bool mapped)
{
	u64 place = arch_untagged(addr);
	struct vcpu *v = t->vcpu;
	struct l4_vcpu_page *p = v->page;
	bool user = t->in_guest_user;
	u32 present = 0;
	bool done = vspace_above(t->vspace) ? fill_above(t, place, access, mapped, &present)
	            : user ? !guest_lacks(v->space, place) &&
	                             guest_fill(t->vspace, v->space, v->space->guest_root, place, access, &present)
	                   : guest_fill(t->vspace, NULL, READ_ONCE(p->kernel_root), place, access, &present);

	if (likely(done)) {
		arch_flush_page(place);
		return NULL;
	}
	event(EVENT_GUEST_FAULT, addr, access);
	vcpu_note_fault(p, addr, access, present);
	if (user)
		return mode_leave(t, L4_EXIT_FAULT, 0);
	mode_upcall(t, L4_EXIT_FAULT, addr);
	return NULL;
}

/* An exception of the vCPU's thread goes to its guest kernel. */
struct l4_vcpu_page *vcpu_exception(struct thread *t, u32 vector, u64 error, u64 addr)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	p->exit_code = vector;
	p->exit_error = error;
	p->fault_addr = addr;
	if (t->in_guest_user)
		return mode_leave(t, L4_EXIT_EXCEPTION, vector);
	mode_upcall(t, L4_EXIT_EXCEPTION, addr);
	return NULL;
}
