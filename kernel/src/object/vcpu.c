// SPDX-License-Identifier: GPL-2.0-only
/* Vcpu: its life, and its binding to a thread. guest/ has what it does. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/mode.h>
#include <kernel/vspace.h>

void vcpu_init(struct object *o)
{
	struct vcpu *v = (struct vcpu *)o;

	v->page = (struct l4_vcpu_page *)((char *)o + L4_PAGE_SIZE);
	v->page->counter_hz = arch_counter_hz();
	v->page->kernel_root = NEVER;
	v->page->user_top = ARCH_USER_TOP;
	arch_cpu_id(v->page->cpu_id);
	list_init(&v->link);
	list_init(&v->timer.link);
	v->timer.kind = TIMER_VCPU;
}

/* Bind to a stopped thread: maps the vCPU page at vaddr in its VSpace. The caller holds the capability. */
error_t vcpu_bind(struct thread *t, struct vcpu *v, u64 vaddr)
{
	error_t error;

	if (t->state != THREAD_STOPPED)
		return L4_ERR_STATE;
	if (t->vcpu || v->thread)
		return L4_ERR_BUSY;
	if (!t->vspace)
		return L4_ERR_UNBOUND;
	if (!aligned(vaddr, L4_PAGE_SIZE))
		return L4_ERR_ALIGN;
	if (!vspace_has_range(t->vspace, vaddr, L4_PAGE_SIZE))
		return L4_ERR_RANGE;
	vaddr = arch_table_address(vaddr);
	if (t->vspace->vcpu_count == VSPACE_VCPUS)
		return L4_ERR_MEMORY;
	error = vspace_map_page(t->vspace, vaddr, arch_pa(v->page), L4_RIGHT_READ | L4_RIGHT_WRITE);
	if (error)
		return error;
	v->thread = t;
	v->page_vaddr = vaddr;
	list_add_tail(&t->vspace->vcpus, &v->link);
	t->vspace->vcpu_count++;
	vspace_count_users(t->vspace);
	t->vcpu = v;
	t->ran = NULL;
	v->page->mode = vspace_above(t->vspace) ? L4_GUEST_ABOVE : L4_GUEST_BESIDE;
	v->page->space = 0;
	v->page->stolen = 0;
	v->ready_since = 0;
	vcpu_tell_nobody(v);
	memset(v->entry, 0, sizeof(v->entry));
	vcpu_forget(v);
	thread_set_own_mode(t);
	arch_frame_sanitise(thread_frame(t), t->entry == ENTRY_ABOVE);
	return L4_ERR_OK;
}

/* The thread stays stopped: it cannot go on without its vCPU. */
void vcpu_unbind(struct vcpu *v)
{
	struct thread *t = v->thread;

	if (!t)
		return;
	thread_stop(t);
	timer_cancel(&v->timer);
	assert(t->vspace);
	vspace_unmap_page(t->vspace, v->page_vaddr);
	list_remove(&v->link);
	t->vspace->vcpu_count--;
	vspace_count_users(t->vspace);
	t->vcpu = NULL;
	v->space = NULL;
	t->exit_work = false;
	thread_set_own_mode(t);
	v->thread = NULL;
	slot_drop(&t->vcpu_slot);
}

/* No thread is bound to it, as a binding holds a capability. */
bool vcpu_destroy(struct object *o)
{
	assert(!((struct vcpu *)o)->thread);
	return true;
}
