// SPDX-License-Identifier: GPL-2.0-only
/* The mode switches of a thread. See mode.h. */
#include <kernel/arch.h>
#include <kernel/ipc.h>
#include <kernel/mode.h>
#include <kernel/sched.h>

/*
 * Faults in a row at one instruction, without VCPU_RESUME or VCPU_ENTER between them, that are taken for faults of the
 * upcall entry itself. Few, so that an entry whose stack pointer moves down at each does not leave a guard page.
 */
#define ENTRY_FAULTS 4

static noinline void set_own_mode(struct thread *t)
{
	t->in_guest_user = false;
	t->frame_end = (u64)(thread_frame(t) + 1);
	t->root = t->vspace ? t->vspace->root_reg : 0;
	t->entry = t->vcpu ? ENTRY_GUEST_KERNEL : ENTRY_OWN;
	if (t->vspace && unlikely(vspace_above(t->vspace))) {
		t->entry = ENTRY_ABOVE;
		if (t->vcpu && t->vcpu->space)
			t->root = t->vcpu->space->root_reg;
	}
	/* Without a VSpace it runs no more: what the CPU has loaded serves L4 until it switches, or the root goes. */
	if (t != this_cpu()->current || !t->vspace)
		return;
	if (unlikely(t->entry == ENTRY_ABOVE))
		arch_load_above(t);
	else
		arch_load_mode(t);
}

/* Own mode, or guest kernel mode: registers in the thread's frame, page table of its VSpace. */
void thread_set_own_mode(struct thread *t)
{
	set_own_mode(t);
	sched_note_direct(t);
}

/* Mode above: the guest may change the frame at any time, so the thread gets a copy. */
noinline void mode_enter_above(struct thread *t, struct guestspace *g, const struct l4_frame *f, u64 slot)
{
	t->vcpu->page->space = slot;
	read_shared(thread_frame(t), f);
	arch_frame_sanitise(thread_frame(t), false);
	t->vcpu->space = g;
	t->vcpu->fault_count = 0;
	t->in_guest_user = true;
	t->root = g->root_reg;
	arch_load_above(t);
}

/* Mode above: the user's registers to the guest's frame. False: there is none. */
static noinline bool save_user_frame(struct thread *t)
{
	struct l4_frame *f;

	if (!t->in_guest_user)
		return true;
	f = guest_memory(t->vspace, READ_ONCE(t->vcpu->page->frame_gpa), sizeof(*f), NULL);
	if (f)
		*f = *thread_frame(t);
	return f;
}

/* Guest kernel -> guest user. The guest kernel's own registers are not kept. */
void mode_enter_user(struct thread *t, struct guestspace *g, struct l4_frame *end)
{
	struct vcpu *v = t->vcpu;

	v->space = g;
	v->fault_count = 0;
	t->in_guest_user = true;
	t->frame_end = (u64)end;
	t->root = g->root_reg;
	t->entry = ENTRY_GUEST_USER;
	arch_load_guest(t);
}

/* Mode beside: guest user mode -> guest kernel, but for what the CPU has loaded. */
static inline void leave_to_kernel(struct thread *t)
{
	t->in_guest_user = false;
	t->frame_end = (u64)(thread_frame(t) + 1);
	t->root = t->vspace->root_reg;
	t->entry = ENTRY_GUEST_KERNEL;
}

/* What the entry code would load by a way out of t, to its frame. */
void mode_start_kernel(struct thread *t)
{
	const struct l4_vcpu_page *p = t->vcpu->page;

	memset(thread_frame(t), 0, sizeof(struct l4_frame));
	frame_start(thread_frame(t), READ_ONCE(p->user_entry), READ_ONCE(p->kernel_sp), READ_ONCE(p->exit_reason), 0);
}

/* Guest user mode -> guest kernel at user_entry. The user's registers are in the guest's frame already. */
void mode_leave_user(struct thread *t, u32 reason, u32 code)
{
	struct l4_vcpu_page *p = t->vcpu->page;
	bool above = vspace_above(t->vspace);

	if (likely(!above)) {
		t->vcpu->space = NULL;
	} else if (!save_user_frame(t)) {
		reason = L4_EXIT_ERROR;
		code = L4_ERR_RANGE;
	}
	p->irq_enabled = 0;
	p->exit_reason = reason;
	p->exit_code = code;
	mode_start_kernel(t);
	set_own_mode(t);
}

struct l4_vcpu_page *mode_leave(struct thread *t, u32 reason, u32 code)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	if (unlikely(vspace_above(t->vspace))) {
		mode_leave_user(t, reason, code);
		return NULL;
	}
	p->irq_enabled = 0;
	p->exit_reason = reason;
	p->exit_code = code;
	t->vcpu->space = NULL;
	leave_to_kernel(t);
	arch_load_mode(t);
	return p;
}

/* Mode above: the space is no longer loaded, so that the guest kernel cannot leave to it either. */
static noinline void unload_space(struct thread *t, u32 error)
{
	t->vcpu->space = NULL;
	t->vcpu->page->space = 0;
	if (t->in_guest_user)
		mode_leave_user(t, L4_EXIT_ERROR, error);
	else
		thread_set_own_mode(t);
}

void mode_leave_all(struct vspace *v, const struct guestspace *g, u32 error)
{
	for (struct list *l = v->vcpus.next; l != &v->vcpus; l = l->next) {
		struct vcpu *c = container_of(l, struct vcpu, link);

		sched_take_away(c->thread);
		if (vspace_above(v)) {
			if (c->space && (!g || c->space == g))
				unload_space(c->thread, error);
		} else if (c->thread->in_guest_user && (!g || c->space == g)) {
			mode_leave_user(c->thread, L4_EXIT_ERROR, error);
		}
	}
}

/*
 * Fast path of guest system calls: like mode_leave_user, but the guest kernel's registers are loaded directly
 * by the entry code, which gets the vCPU page.
 */
struct l4_vcpu_page *vcpu_syscall(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	event(EVENT_GUEST_SYSCALL, (u64)t, 0);
	p->irq_enabled = 0;
	p->exit_reason = L4_EXIT_SYSCALL;
	leave_to_kernel(t);
	arch_load_guest(t);
	return p;
}

/* Count faults in a row at one instruction. True: there are ENTRY_FAULTS, so the upcall entry itself faults. */
static bool entry_faults(struct vcpu *v, u64 ip)
{
	if (v->fault_ip != ip)
		v->fault_count = 0;
	v->fault_ip = ip;
	if (++v->fault_count < ENTRY_FAULTS)
		return false;
	v->fault_count = 0;
	return true;
}

/*
 * Interrupt the guest kernel: its registers go to the vCPU page, and it continues at kernel_entry with events disabled.
 * Without an entry, or if the entry itself faults, the thread's pager gets a fault message with addr.
 */
void mode_upcall(struct thread *t, u32 reason, u64 addr)
{
	struct l4_vcpu_page *p = t->vcpu->page;
	u64 entry = READ_ONCE(p->kernel_entry), ip = l4_frame_ip(thread_frame(t));
	bool none = entry - 1 >= ARCH_USER_TOP - 1 && !(entry && vspace_has_range(t->vspace, entry, 1));

	if (none || (reason != L4_EXIT_EVENT && entry_faults(t->vcpu, ip))) {
		ipc_fault(t, L4_FAULT_VCPU, reason, addr, ip, !none);
		return;
	}
	event(EVENT_UPCALL, reason, 0);
	p->kernel_irq = READ_ONCE(p->irq_enabled);
	p->irq_enabled = 0;
	p->exit_reason = reason;
	p->kernel_frame = *thread_frame(t);
	frame_upcall(thread_frame(t), entry);
}

/* Back to where an upcall interrupted the guest kernel. The frame in the vCPU page is the guest's to change. */
void mode_resume(struct thread *t)
{
	struct l4_frame *f = thread_frame(t);

	t->vcpu->fault_count = 0;
	read_shared(f, &t->vcpu->page->kernel_frame);
	arch_frame_sanitise(f, t->entry == ENTRY_ABOVE);
}

/*
 * Mode above: between the look for events and the instruction that goes to user mode the guest kernel is in a range of
 * addresses that it has told. An event in it is as one before it: the guest goes on where it looks again. Its copy of the
 * user's registers is whole until then.
 */
void mode_leave_exit(struct thread *t)
{
	const u64 *entry = t->vcpu->entry;
	u64 ip = l4_frame_ip(thread_frame(t));

	if (ip >= entry[VCPU_EXIT_START] && ip < entry[VCPU_EXIT_END])
		frame_upcall(thread_frame(t), entry[VCPU_EXIT_EVENTS]);
}

/* Stop a thread. One in guest user mode leaves it first, so its registers are where its guest kernel expects them. */
void thread_stop(struct thread *t)
{
	sched_take_away(t);
	if (t->in_guest_user)
		mode_leave_user(t, L4_EXIT_EVENT, 0);
	ipc_cancel(t, L4_ERR_CANCELLED);
	sched_block(t, THREAD_STOPPED);
}
