// SPDX-License-Identifier: GPL-2.0-only
/*
 * Vcpu: guest mode of a thread. docs/guest-interface.md tells the protocol. The vCPU page is the second page of
 * the object; the guest may write anything into it at any time, so every field is read once and checked.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/vspace.h>

_Static_assert(sizeof(struct vcpu) <= L4_PAGE_SIZE, "vcpu size");

/*
 * Faults in a row at one instruction, without VCPU_RESUME or VCPU_ENTER between them, that are taken for faults of the
 * upcall entry itself. Few, so that an entry whose stack pointer moves down at each does not leave a guard page.
 */
#define ENTRY_FAULTS 4

#define DRAIN_STEPS 256 /* what an entry of the flush queue counts for at least: see guestspace_reset() */

void vcpu_timer_fired(struct timer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, timer);

	if (v->thread)
		vcpu_event(v->thread, BIT(L4_GUEST_EVENT_TIMER));
}

void vcpu_init(void *memory, u8 size_bits)
{
	struct vcpu *v = memory;

	v->page = (struct l4_vcpu_page *)((char *)memory + L4_PAGE_SIZE);
	v->page->counter_hz = arch_counter_hz();
	v->page->kernel_root = NEVER;
	v->page->user_top = ARCH_USER_TOP;
	arch_cpu_id(v->page->cpu_id);
	list_init(&v->link);
	list_init(&v->timer.link);
	v->timer.kind = TIMER_VCPU;
}

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
	if (vaddr >= ARCH_USER_TOP - L4_PAGE_SIZE)
		return L4_ERR_RANGE;
	if (t->vspace->vcpu_count == VSPACE_VCPUS)
		return L4_ERR_MEMORY;
	error = vspace_map_page(t->vspace, vaddr, arch_pa(v->page), L4_RIGHT_READ | L4_RIGHT_WRITE);
	if (error)
		return error;
	v->thread = t;
	v->page_vaddr = vaddr;
	list_add_tail(&t->vspace->vcpus, &v->link);
	t->vspace->vcpu_count++;
	t->vcpu = v;
	thread_set_own_mode(t);
	return L4_ERR_OK;
}

/* The thread stays stopped: without its vCPU it cannot go on. */
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
	t->vcpu = NULL;
	t->exit_work = false;
	thread_set_own_mode(t);
	v->thread = NULL;
	slot_drop(&t->vcpu_slot);
}

/* No thread is bound to it: a binding holds a capability. */
void vcpu_destroy(struct object *o) { assert(!((struct vcpu *)o)->thread); }

/* Guest user mode -> guest kernel at user_entry. The user's registers are in the guest's frame already. */
void vcpu_leave_user(struct thread *t, u32 reason, u32 code)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	p->irq_enabled = 0;
	p->exit_reason = reason;
	p->exit_code = code;
	t->vcpu->space = NULL;
	memset(thread_frame(t), 0, sizeof(struct l4_frame));
	frame_start(thread_frame(t), READ_ONCE(p->user_entry), READ_ONCE(p->kernel_sp), reason, 0);
	thread_set_own_mode(t);
}

/* An upcall for a fault: does it come from the upcall entry itself, again and again? */
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

/* Guest kernel, wherever it was -> guest kernel at kernel_entry. addr is what a report to the pager names. */
static void upcall(struct thread *t, u32 reason, u64 addr)
{
	struct l4_vcpu_page *p = t->vcpu->page;
	u64 entry = READ_ONCE(p->kernel_entry), ip = l4_frame_ip(thread_frame(t));
	bool none = entry - 1 >= ARCH_USER_TOP - 1;

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

/* Called when the thread is about to run: deliver what became pending, if the guest listens. */
void vcpu_exit_work(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	t->exit_work = false;
	if (!READ_ONCE(p->pending) || t->state != THREAD_RUN)
		return;
	if (t->in_guest_user)
		vcpu_leave_user(t, L4_EXIT_EVENT, 0);
	else if (READ_ONCE(p->irq_enabled))
		upcall(t, L4_EXIT_EVENT, 0);
}

void vcpu_event(struct thread *t, u64 bits)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	event(EVENT_GUEST_EVENT, bits, 0);
	__atomic_fetch_or(&p->events.word[0], bits, __ATOMIC_SEQ_CST);
	WRITE_ONCE(p->pending, 1);
	t->exit_work = true;
	if (t->state == THREAD_VCPU_WAIT)
		sched_wake(t);
}

/* addr is what the program used: a guest that tells its programs of faults wants the bits that the CPU ignores. */
void vcpu_page_fault(struct thread *t, u64 addr, u32 access)
{
	u64 place = arch_untagged(addr);
	struct vcpu *v = t->vcpu;
	struct l4_vcpu_page *p = v->page;
	bool user = t->in_guest_user;
	u32 present;
	bool done = user ? guest_fill(t->vspace, v->space, v->space->guest_root, place, access, &present)
	                 : guest_fill(t->vspace, NULL, READ_ONCE(p->kernel_root), place, access, &present);

	if (likely(done)) {
		arch_flush_page(place);
		return;
	}
	event(EVENT_GUEST_FAULT, addr, access);
	p->fault_addr = addr;
	p->fault_access = access;
	p->fault_present = present;
	if (user)
		vcpu_leave_user(t, L4_EXIT_FAULT, 0);
	else
		upcall(t, L4_EXIT_FAULT, addr);
}

void vcpu_exception(struct thread *t, u32 vector, u64 error, u64 addr)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	p->exit_code = vector;
	p->exit_error = error;
	p->fault_addr = addr;
	if (t->in_guest_user)
		vcpu_leave_user(t, L4_EXIT_EXCEPTION, vector);
	else
		upcall(t, L4_EXIT_EXCEPTION, addr);
}

/* Cold paths are out of line so that the hot path spills nothing. */
__attribute__((noinline)) static error_t stale_space(struct thread *t, struct guestspace *g)
{
	if (g->vspace != t->vspace)
		return L4_ERR_UNBOUND;
	guestspace_reset(g);
	return L4_ERR_OK;
}

/* A GuestSpace of the caller's own guest, ready for use. An epoch is of one VSpace only. */
static inline error_t own_space(struct thread *t, u64 slot, struct guestspace **g)
{
	struct slot *cap;
	error_t error = cap_lookup_type(t, slot, L4_TYPE_GUESTSPACE, L4_RIGHT_WRITE, &cap);

	if (unlikely(error))
		return error;
	*g = SLOT_OBJECT(cap, guestspace);
	return likely((*g)->epoch == t->vspace->epoch) ? L4_ERR_OK : stale_space(t, *g);
}

/* False: preempted, and e->start is where to go on. */
static bool flush_one(struct thread *t, struct l4_flush_entry *e, struct work *work)
{
	struct guestspace *g;

	if (e->op == L4_FLUSH_SIGNAL)
		notification_signal_slot(t, e->space);
	else if (e->op <= L4_FLUSH_PROTECT && !own_space(t, e->space, &g))
		return guestspace_flush(g, e->op, &e->start, e->end, work);
	return true;
}

/*
 * Entries that name nothing of the guest's are skipped: the queue has no place for an error. False: preempted, and
 * what is left has become the head of the queue. A guest that changes it meanwhile changes its own flushes.
 */
__attribute__((noinline)) static bool drain_flushes(struct thread *t, struct l4_vcpu_page *p)
{
	u32 n = min_u64(READ_ONCE(p->flush_count), L4_GUEST_FLUSH_QUEUE), k = 0;
	struct work work = WORK_PREEMPTIBLE;
	bool preempted = false;

	while (k < n && !preempted) {
		const struct l4_flush_entry *q = &p->flush[k];
		struct l4_flush_entry e = { READ_ONCE(q->space), READ_ONCE(q->op), READ_ONCE(q->start),
		                            READ_ONCE(q->end) };

		if (unlikely(!flush_one(t, &e, &work))) {
			p->flush[k].start = e.start;
			preempted = true;
		} else {
			k++;
			preempted = work_preempted(&work, DRAIN_STEPS);
		}
	}
	for (u32 to = 0; k + to < n && k; to++)
		p->flush[to] = p->flush[k + to];
	WRITE_ONCE(p->flush_count, n - k);
	return k == n;
}

__attribute__((noinline)) static error_t refuse(struct thread *t, u32 reason, u32 code)
{
	vcpu_leave_user(t, reason, code);
	return L4_ERR_OK;
}

/* Flush queue and map hint. False: preempted before the queue was empty. */
__attribute__((noinline)) static bool prepare(struct thread *t, struct l4_vcpu_page *p, u64 slot)
{
	struct guestspace *g;
	u32 hint;

	if (READ_ONCE(p->flush_count) && !drain_flushes(t, p))
		return false;
	hint = READ_ONCE(p->hint_count);
	if (!hint || own_space(t, slot, &g))
		return true;
	p->hint_count = 0;
	if (READ_ONCE(p->hint_space) == slot && hint <= L4_GUEST_HINT_MAX)
		guestspace_hint(g, align_down(READ_ONCE(p->hint_addr), L4_PAGE_SIZE), hint);
	return true;
}

/*
 * Guest kernel -> guest user. The guest kernel's own registers are not kept. Never fails to the caller: what
 * is wrong is an exit like any other.
 */
error_t vcpu_enter(struct thread *t, u64 slot)
{
	struct vcpu *v = t->vcpu;
	struct l4_vcpu_page *p = v->page;
	struct guestspace *g;
	struct l4_frame *f;
	struct slot *cap;

	event(EVENT_GUEST_ENTER, slot, p->frame_gpa);
	if (unlikely(READ_ONCE(p->flush_count) | READ_ONCE(p->hint_count)) && !prepare(t, p, slot))
		return refuse(t, L4_EXIT_EVENT, 0);
	cap = cap_find(t, slot, L4_TYPE_GUESTSPACE, L4_RIGHT_WRITE);
	if (unlikely(!cap) || unlikely(SLOT_OBJECT(cap, guestspace)->epoch != t->vspace->epoch)) {
		error_t error = own_space(t, slot, &g);

		if (error)
			return refuse(t, L4_EXIT_ERROR, error);
	} else {
		g = SLOT_OBJECT(cap, guestspace);
	}
	if (unlikely(READ_ONCE(p->pending)))
		return refuse(t, L4_EXIT_EVENT, 0);
	f = vspace_guest_memory(t->vspace, READ_ONCE(p->frame_gpa), sizeof(*f), NULL);
	if (unlikely(!f))
		return refuse(t, L4_EXIT_ERROR, L4_ERR_RANGE);
	if (unlikely(!aligned((u64)(f + 1), FRAME_ALIGN)))
		return refuse(t, L4_EXIT_ERROR, L4_ERR_ALIGN);
	if (unlikely(!arch_frame_valid(f))) {
		p->exit_error = 0;
		p->fault_addr = 0;
		return refuse(t, L4_EXIT_EXCEPTION, ARCH_VECTOR_BAD_IP);
	}
	/* Least recently entered spaces are evicted first. */
	if (t->vspace->holders.prev != &g->link && g->tables) {
		list_remove(&g->link);
		list_add_tail(&t->vspace->holders, &g->link);
	}
	v->space = g;
	v->fault_count = 0;
	t->in_guest_user = true;
	t->frame_end = (u64)(f + 1);
	t->root = g->root_reg;
	t->entry = arch_entry_guest_user();
	arch_load_mode(t);
	return L4_ERR_OK;
}

error_t vcpu_resume(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;
	struct l4_frame *f = thread_frame(t);
	u32 irq = READ_ONCE(p->kernel_irq);

	t->vcpu->fault_count = 0;
	read_shared(f, &p->kernel_frame);
	arch_frame_sanitise(f);
	p->irq_enabled = irq;
	if (irq && READ_ONCE(p->pending))
		t->exit_work = true;
	return L4_ERR_OK;
}

/* The queue is not empty yet: the guest kernel takes the interrupt, and repeats its call. */
static error_t repeat(struct thread *t)
{
	frame_repeat_syscall(thread_frame(t));
	return L4_ERR_OK;
}

error_t vcpu_wait(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	if (READ_ONCE(p->flush_count) && !drain_flushes(t, p))
		return repeat(t);
	if (!READ_ONCE(p->pending))
		sched_block(t, THREAD_VCPU_WAIT);
	return L4_ERR_OK;
}

error_t vcpu_timer(struct thread *t, u64 when)
{
	if (when == NEVER)
		timer_cancel(&t->vcpu->timer);
	else
		timer_set(&t->vcpu->timer, when);
	return L4_ERR_OK;
}

/* m0 of the guest kernel's registers, where its own range starts, moves on with each repetition. */
__attribute__((noinline)) error_t vcpu_flush(struct thread *t)
{
	struct work work = WORK_PREEMPTIBLE;
	u64 words[L4_MSG_REG_WORDS];
	bool done;

	if (!drain_flushes(t, t->vcpu->page))
		return repeat(t);
	l4_frame_get_words(thread_frame(t), words);
	if (words[0] >= words[1])
		return L4_ERR_OK;
	done = table_change(t->vspace, t->vspace->root, &words[0], words[1], TABLE_CLEAR_FILLED, &work);
	arch_root_flush(t->vspace->root_reg);
	if (done)
		return L4_ERR_OK;
	l4_frame_set_words(thread_frame(t), words);
	return repeat(t);
}

/*
 * Fast path of guest system calls: like vcpu_leave_user, but the guest kernel's registers are loaded directly
 * by the entry code, which gets the vCPU page.
 */
struct l4_vcpu_page *vcpu_syscall(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	event(EVENT_GUEST_SYSCALL, (u64)t, 0);
	p->irq_enabled = 0;
	p->exit_reason = L4_EXIT_SYSCALL;
	t->in_guest_user = false;
	t->frame_end = (u64)(thread_frame(t) + 1);
	t->root = t->vspace->root_reg;
	t->entry = arch_entry_guest_kernel();
	arch_load_mode(t);
	return p;
}
