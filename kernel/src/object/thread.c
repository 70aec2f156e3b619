// SPDX-License-Identifier: GPL-2.0-only
/* Thread: its life, its configuration, its invocations. Its UTCB is the second page of the object. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/ipc.h>
#include <kernel/mode.h>
#include <kernel/notification.h>
#include <kernel/sched.h>
#include <kernel/vcpu.h>
#include <kernel/vspace.h>

#define REGS_WORDS (sizeof(struct l4_frame) / sizeof(u64))

_Static_assert(L4_FRAME_MR + REGS_WORDS <= L4_MSG_WORDS, "registers fit the UTCB");

void thread_init(struct object *o)
{
	struct thread *t = (struct thread *)o;

	list_init(&t->in_vspace);
	t->utcb = (struct l4_utcb *)((char *)o + L4_PAGE_SIZE);
	t->cpu = cpus[0];
	arch_thread_init(t);
	thread_set_own_mode(t);
}

void thread_join_vspace(struct thread *t, struct slot *cap, u64 utcb_vaddr)
{
	slot_hold(&t->vspace_slot, cap, HELD_VSPACE);
	t->vspace = SLOT_OBJECT(cap, vspace);
	t->ran = NULL; /* its CPU may remember what others changed there without a word to it: see note_cpu() */
	t->utcb_vaddr = utcb_vaddr;
	list_add_tail(&t->vspace->threads, &t->in_vspace);
	vspace_count_users(t->vspace);
}

/* Give up the VSpace: the UTCB is unmapped. */
static void leave_vspace(struct thread *t)
{
	if (!t->vspace)
		return;
	vspace_unmap_page(t->vspace, t->utcb_vaddr);
	list_remove(&t->in_vspace);
	vspace_count_users(t->vspace);
	t->vspace = NULL;
	slot_drop(&t->vspace_slot);
}

static void unbind_notification(struct thread *t)
{
	if (t->bound)
		t->bound->bound = NULL;
	t->bound = NULL;
	slot_drop(&t->bound_slot);
}

static void disown(struct sched_context *sc)
{
	sc->owner = NULL;
	sched_context_bind(sc, NULL);
}

/* Give up its own SchedContext, which may be lent to a server that it called. */
static void unbind_sched(struct thread *t)
{
	if (t->sched_slot.type)
		disown(SLOT_OBJECT(&t->sched_slot, sched_context));
	slot_drop(&t->sched_slot);
}

/* A capability that the thread was configured with was revoked: end what it was used for. */
void thread_lost(struct slot *held, enum slot_use use, u64 object)
{
	struct thread *t;

	switch (use) {
	case HELD_CNODE:
		t = container_of(held, struct thread, cnode_slot);
		thread_stop(t);
		t->cnode = NULL;
		break;
	case HELD_VSPACE:
		t = container_of(held, struct thread, vspace_slot);
		thread_stop(t);
		if (t->vcpu)
			vcpu_unbind(t->vcpu);
		leave_vspace(t);
		thread_set_own_mode(t);
		break;
	case HELD_SCHED:
		disown((struct sched_context *)object);
		break;
	case HELD_BOUND:
		unbind_notification(container_of(held, struct thread, bound_slot));
		break;
	case HELD_VCPU:
		vcpu_unbind((struct vcpu *)object);
		break;
	case HELD_FAULT:
		t = container_of(held, struct thread, fault_slot);
		if (t->state == THREAD_SEND && t->fault_label)
			ipc_cancel(t, L4_ERR_CANCELLED);
		break;
	default:
		assert(use == HELD_SEND);
		ipc_cancel(container_of(held, struct thread, send_slot), L4_ERR_CANCELLED);
	}
}

bool thread_destroy(struct object *o)
{
	struct thread *t = (struct thread *)o;

	thread_stop(t);
	if (t->vcpu)
		vcpu_unbind(t->vcpu);
	unbind_notification(t);
	unbind_sched(t);
	if (t->sc)
		sched_context_move(t->sc, NULL);
	leave_vspace(t);
	slot_drop(&t->cnode_slot);
	slot_drop(&t->fault_slot);
	arch_thread_forget(t);
	return true;
}

/* CONFIGURE: CNode, VSpace with UTCB address, fault Endpoint. */
static error_t configure(struct invocation *i, struct thread *t)
{
	struct slot *cnode, *vspace, *fault = NULL;
	u64 utcb = i->arg.thread_configure.utcb_vaddr;
	error_t error;

	if (t->state != THREAD_STOPPED)
		return L4_ERR_STATE;
	if (!aligned(utcb, L4_PAGE_SIZE))
		return L4_ERR_ALIGN;
	error = cap_lookup_type(i->caller, i->arg.thread_configure.cnode_cap, L4_TYPE_CNODE, L4_RIGHT_WRITE, &cnode);
	if (error)
		return error;
	error = cap_lookup_type(i->caller, i->arg.thread_configure.vspace_cap, L4_TYPE_VSPACE, L4_RIGHT_WRITE, &vspace);
	if (error)
		return error;
	if (!vspace_has_range(SLOT_OBJECT(vspace, vspace), utcb, L4_PAGE_SIZE))
		return L4_ERR_RANGE;
	utcb = arch_table_address(utcb);
	if (i->arg.thread_configure.fault_cap) {
		error = cap_lookup_type(i->caller, i->arg.thread_configure.fault_cap, L4_TYPE_ENDPOINT,
		                        L4_RIGHT_WRITE | L4_RIGHT_GRANT, &fault);
		if (error)
			return error;
	}
	if (t->vcpu)
		return L4_ERR_STATE;

	struct vspace *v = SLOT_OBJECT(vspace, vspace);

	if (t->vspace != v || t->utcb_vaddr != utcb) {
		error = vspace_map_page(v, utcb, arch_pa(t->utcb), L4_RIGHT_READ | L4_RIGHT_WRITE);
		if (error)
			return error;
		leave_vspace(t);
	} else {
		/* The UTCB's mapping stays; by whose right is new. */
		list_remove(&t->in_vspace);
		slot_drop(&t->vspace_slot);
	}
	thread_join_vspace(t, vspace, utcb);
	slot_drop(&t->cnode_slot);
	slot_hold(&t->cnode_slot, cnode, HELD_CNODE);
	t->cnode = SLOT_OBJECT(cnode, cnode);
	slot_drop(&t->fault_slot);
	if (fault)
		slot_hold(&t->fault_slot, fault, HELD_FAULT);
	thread_set_own_mode(t);
	return L4_ERR_OK;
}

/* SET_SCHED: SchedContext (0: none), priority, maximum priority. */
static error_t set_sched(struct invocation *i, struct thread *t)
{
	u64 priority = i->arg.thread_set_sched.priority, max_priority = i->arg.thread_set_sched.max_priority;
	struct sched_context *sc = NULL;
	struct slot *cap = NULL;

	if (priority >= L4_PRIORITIES || max_priority >= L4_PRIORITIES)
		return L4_ERR_RANGE;
	if ((int)priority > i->caller->max_priority || (int)max_priority > i->caller->max_priority)
		return L4_ERR_PRIORITY;
	if (i->arg.thread_set_sched.sched_cap) {
		error_t error =
			cap_lookup_type(i->caller, i->arg.thread_set_sched.sched_cap, L4_TYPE_SCHED_CONTEXT, 0, &cap);

		if (error)
			return error;
		sc = SLOT_OBJECT(cap, sched_context);
		if (sc->thread && sc->thread != t)
			return L4_ERR_BUSY;
		/* No thread runs on it: take it from its owner. */
		if (sc->owner && sc->owner != t)
			unbind_sched(sc->owner);
	}
	if (t->sc != sc) {
		unbind_sched(t);
		/* Without one of its own a thread keeps what a caller has lent it. */
		if (t->sc && (sc || !t->sc->replies))
			sched_context_move(t->sc, NULL);
		if (sc)
			sched_context_bind(sc, t);
	}
	if (cap) {
		slot_drop(&t->sched_slot);
		slot_hold(&t->sched_slot, cap, HELD_SCHED);
		sc->owner = t;
	}
	t->max_priority = max_priority;
	if (t->priority != (int)priority) {
		t->priority = index_nospec(priority, L4_PRIORITIES);
		sched_requeue(t);
	}
	notification_deliver_bound(t);
	return L4_ERR_OK;
}

/* READ_REGS, WRITE_REGS: the frame, by the UTCB of the caller. */
static error_t registers(struct invocation *i, struct thread *t, bool write)
{
	struct l4_frame *f = thread_frame(t);
	u64 *mr = &i->caller->utcb->mr[L4_FRAME_MR];

	if (t->state != THREAD_STOPPED)
		return L4_ERR_STATE;
	if (write) {
		t->restart = NULL;
		read_shared(f, (const struct l4_frame *)mr);
		arch_frame_sanitise(f, t->entry == ENTRY_ABOVE);
	} else {
		memcpy(mr, f, sizeof(*f));
	}
	return L4_ERR_OK;
}

static error_t resume(struct thread *t)
{
	/* In mode above only a vCPU's thread has a way back to L4. */
	if (!t->cnode || !t->vspace || (vspace_above(t->vspace) && !t->vcpu))
		return L4_ERR_UNBOUND;
	if (t->state == THREAD_STOPPED) {
		t->fault_label = 0;
		sched_wake(t);
	}
	return L4_ERR_OK;
}

static error_t bind_notification(struct invocation *i, struct thread *t)
{
	struct slot *cap;
	struct notification *n;

	if (!i->arg.thread_bind_notification.notification_cap) {
		unbind_notification(t);
		return L4_ERR_OK;
	}

	error_t error = cap_lookup_type(i->caller, i->arg.thread_bind_notification.notification_cap,
	                                L4_TYPE_NOTIFICATION, L4_RIGHT_READ, &cap);

	if (error)
		return error;
	n = SLOT_OBJECT(cap, notification);
	if (t->bound || n->bound || !list_empty(&n->queue))
		return L4_ERR_BUSY;
	slot_hold(&t->bound_slot, cap, HELD_BOUND);
	t->bound = n;
	n->bound = t;
	notification_deliver_bound(t);
	return L4_ERR_OK;
}

static error_t bind_vcpu(struct invocation *i, struct thread *t)
{
	struct slot *cap;
	error_t error =
		cap_lookup_type(i->caller, i->arg.thread_bind_vcpu.vcpu_cap, L4_TYPE_VCPU, L4_RIGHT_WRITE, &cap);

	if (!error)
		error = vcpu_bind(t, SLOT_OBJECT(cap, vcpu), i->arg.thread_bind_vcpu.vaddr);
	if (!error)
		slot_hold(&t->vcpu_slot, cap, HELD_VCPU);
	return error;
}

error_t thread_invoke(struct invocation *i)
{
	struct thread *t = SLOT_OBJECT(i->slot, thread);

	if (i->op > L4_THREAD_BIND_VCPU)
		return L4_ERR_OP;
	if (!(i->slot->rights & (i->op == L4_THREAD_READ_REGS ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	switch (i->op) {
	case L4_THREAD_CONFIGURE:
		return configure(i, t);
	case L4_THREAD_SET_SCHED:
		return set_sched(i, t);
	case L4_THREAD_WRITE_REGS:
		return registers(i, t, true);
	case L4_THREAD_READ_REGS:
		return registers(i, t, false);
	case L4_THREAD_RESUME:
		return resume(t);
	case L4_THREAD_SUSPEND:
		thread_stop(t);
		return L4_ERR_OK;
	case L4_THREAD_BIND_NOTIFICATION:
		return bind_notification(i, t);
	default:
		return bind_vcpu(i, t);
	}
}
