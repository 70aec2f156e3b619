// SPDX-License-Identifier: GPL-2.0-only
/* System calls of a guest kernel: entering user mode, the flush queue, hints, waiting, its timer. */
#include <kernel/arch.h>
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/fill.h>
#include <kernel/mode.h>
#include <kernel/notification.h>
#include <kernel/paging.h>
#include <kernel/preempt.h>
#include <kernel/sched.h>

#define READY        ~0U /* no exit */
#define FAULT_RIGHTS (L4_RIGHT_READ | L4_RIGHT_WRITE | L4_RIGHT_EXEC)
#define DRAIN_STEPS  256 /* what an entry of the flush queue counts for at least: see guestspace_reset() */

/* Cold paths are out of line so that the hot path spills nothing. */
static noinline error_t stale_space(struct thread *t, struct guestspace *g)
{
	if (g->vspace != t->vspace)
		return L4_ERR_UNBOUND;
	guestspace_reset(g);
	return L4_ERR_OK;
}

/* Look up a GuestSpace of the caller's guest, and make it ready for use. An epoch is of one VSpace only. */
static inline error_t own_space(struct thread *t, u64 slot, struct guestspace **g)
{
	struct slot *cap;
	error_t error = cap_lookup_type(t, slot, L4_TYPE_GUESTSPACE, L4_RIGHT_WRITE, &cap);

	if (unlikely(error))
		return error;
	*g = SLOT_OBJECT(cap, guestspace);
	return likely((*g)->epoch == t->vspace->epoch) ? L4_ERR_OK : stale_space(t, *g);
}

/* Entry k of the flush queue, each field read once: the guest may change it at any time. */
static inline struct l4_flush_entry flush_entry(const struct l4_vcpu_page *p, u32 k)
{
	const struct l4_flush_entry *q = &p->flush[k];

	return (struct l4_flush_entry){ READ_ONCE(q->space), READ_ONCE(q->op), READ_ONCE(q->start), READ_ONCE(q->end) };
}

/* Do one entry of the flush queue. False: preempted, and e->start is where to go on. */
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
static noinline bool drain_flushes(struct thread *t, struct l4_vcpu_page *p)
{
	u32 n = min_u64(READ_ONCE(p->flush_count), L4_GUEST_FLUSH_QUEUE), k = 0;
	struct work work = WORK_PREEMPTIBLE;
	bool preempted = false;

	while (k < n && !preempted) {
		struct l4_flush_entry e = flush_entry(p, k);

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

/* A fault that the guest kernel has seen first, and has a valid entry for. False: L4 finds none, so it has to look again. */
static noinline bool fill_by_hint(struct thread *t, struct l4_vcpu_page *p, struct guestspace *g, u32 access)
{
	u64 addr = READ_ONCE(p->hint_addr);
	u32 present;

	if (guest_fill(t->vspace, g, g->guest_root, addr, access, &present))
		return true;
	vcpu_note_fault(p, addr, access, present);
	return false;
}

/* That of the last enter, as a rule, which needs no look-up; in mode above none is known. */
static inline error_t hinted_space(struct thread *t, u64 slot, struct guestspace **g)
{
	const struct vcpu_entered *last = &t->vcpu->found.last;

	*g = last->space;
	return likely(last->slot == slot) && likely(*g) ? L4_ERR_OK : own_space(t, slot, g);
}

/* The map hint. READY, or why the guest kernel has to go on. */
static u32 take_hint(struct thread *t, struct l4_vcpu_page *p, u64 slot)
{
	u32 hint = READ_ONCE(p->hint_count), access;
	struct guestspace *g;

	if (!hint || hinted_space(t, slot, &g))
		return READY;
	access = READ_ONCE(p->hint_access) & FAULT_RIGHTS;
	p->hint_count = 0;
	p->hint_access = 0;
	if (READ_ONCE(p->hint_space) != slot || hint > L4_GUEST_HINT_MAX)
		return READY;
	if (unlikely(access))
		return fill_by_hint(t, p, g, access) ? READY : L4_EXIT_FAULT;
	guest_hint(g, align_down(READ_ONCE(p->hint_addr), L4_PAGE_SIZE), hint);
	return READY;
}

/* An enter that looks everything up, and leaves it for the next one. */
static noinline struct l4_vcpu_page *enter_anew(struct thread *t, u64 slot, u64 gpa)
{
	struct vspace *v = t->vspace;
	const struct region *r;
	struct guestspace *g;
	error_t error = own_space(t, slot, &g);
	struct vcpu_found *found = &t->vcpu->found;
	struct l4_frame *f;
	char *start;

	if (unlikely(error))
		return mode_leave(t, L4_EXIT_ERROR, error);
	r = guest_region(v, gpa, sizeof(*f));
	if (unlikely(!r))
		return mode_leave(t, L4_EXIT_ERROR, L4_ERR_RANGE);
	start = arch_ptr(r->pa);
	f = (struct l4_frame *)(start + index_nospec(gpa - r->gpa, r->size));
	if (unlikely(!aligned((u64)(f + 1), FRAME_ALIGN)))
		return mode_leave(t, L4_EXIT_ERROR, L4_ERR_ALIGN);
	guestspace_touch(v, g);
	if (unlikely(vspace_above(v))) {
		mode_enter_above(t, g, f, slot);
		return NULL;
	}
	*found = (struct vcpu_found){ { slot, g, gpa, f + 1 }, found->last, r->gpa, r->size - sizeof(*f) + 1, start };
	mode_enter_user(t, g, f + 1);
	return NULL;
}

/* For the kernel that checks: would enter_anew() find what is remembered? */
static bool still_found(struct thread *t, u64 slot, u64 gpa)
{
	const struct vcpu_found *found = &t->vcpu->found;
	const struct region *r = guest_region(t->vspace, gpa, sizeof(struct l4_frame));
	struct guestspace *g;

	return !vspace_above(t->vspace) && !own_space(t, slot, &g) && g == found->last.space && r &&
	       arch_ptr(r->pa) + (gpa - r->gpa) == (void *)(found->last.frame_end - 1);
}

/* Another frame, as of another task, in the region of the last one. It is masked to the region, for wrong guesses too. */
static inline bool find_frame(struct vcpu_found *found, u64 gpa)
{
	u64 offset = gpa - found->gpa;

	if (unlikely(offset >= found->places) || unlikely(!aligned(gpa + sizeof(struct l4_frame), FRAME_ALIGN)))
		return false;
	found->last.frame_gpa = gpa;
	found->last.frame_end = (struct l4_frame *)(found->start + index_nospec(offset, found->places)) + 1;
	return true;
}

/*
 * By what the last enter found; no other space has been entered since by this vCPU, so guestspace_touch() has nothing to
 * do.
 *
 * On a path that the CPU takes by a wrong guess the frame is that of the last enter, or the vCPU page if nothing is known:
 * registers could be loaded of the guest's own memory only. The space's root goes to a control register, which no CPU
 * writes by a guess.
 */
static inline bool enter_found(struct thread *t, u64 slot)
{
	u64 gpa = READ_ONCE(t->vcpu->page->frame_gpa);
	const struct vcpu_entered *last = &t->vcpu->found.last;
	struct guestspace *g = last->space;

	if (unlikely(last->slot != slot) || unlikely(last->frame_gpa != gpa) || unlikely(!g))
		return false;
	assert(still_found(t, slot, gpa));
	mode_enter_user(t, g, last->frame_end);
	event(EVENT_GUEST_ENTER, slot, gpa);
	return true;
}

/* Two, each with one caller and inlined there: one CPU saves no registers for what several need. */
bool vcpu_enter_again(struct thread *t, u64 slot) { return enter_found(t, slot); }
bool vcpu_enter_again_many(struct thread *t, u64 slot) { return enter_found(t, slot); }

/*
 * If it is the slot before the last, the two change places. A guest kernel that switches between two processes, as at each
 * message of a pipe, finds both.
 */
static inline bool find_other(struct vspace *v, struct vcpu_found *found, u64 slot)
{
	struct vcpu_entered *last = &found->last, *other = &found->other;
	struct guestspace *g = other->space;
	struct l4_frame *end;
	u64 gpa;

	if (unlikely(other->slot != slot) || unlikely(!g))
		return false;
	other->slot = last->slot;
	last->slot = slot;
	other->space = last->space;
	last->space = g;
	gpa = other->frame_gpa;
	other->frame_gpa = last->frame_gpa;
	last->frame_gpa = gpa;
	end = other->frame_end;
	other->frame_end = last->frame_end;
	last->frame_end = end;
	guestspace_touch(v, g);
	return true;
}

/* As enter_found(), where slot or frame may be others; or is another, as enter_found() has found out. */
static inline bool enter_other(struct thread *t, u64 slot, u64 gpa, bool is_other)
{
	struct vcpu_found *found = &t->vcpu->found;
	bool same = found->last.slot == slot;

	if (!same && !find_other(t->vspace, found, slot))
		return false;
	/* Where a region is known, so is a space. */
	if ((same && is_other) || found->last.frame_gpa != gpa) {
		if (unlikely(!find_frame(found, gpa)))
			return false;
	} else if (unlikely(!found->last.space)) {
		return false;
	}
	assert(still_found(t, slot, gpa));
	mode_enter_user(t, found->last.space, found->last.frame_end);
	return true;
}

bool vcpu_enter_other(struct thread *t, u64 slot)
{
	u64 gpa = READ_ONCE(t->vcpu->page->frame_gpa);

	if (unlikely(!enter_other(t, slot, gpa, true)))
		return false;
	event(EVENT_GUEST_ENTER, slot, gpa);
	return true;
}

struct l4_vcpu_page *vcpu_enter_unknown(struct thread *t, u64 slot)
{
	u64 gpa = READ_ONCE(t->vcpu->page->frame_gpa);

	event(EVENT_GUEST_ENTER, slot, gpa);
	return enter_anew(t, slot, gpa);
}

/* The flush queue, the map hint, events; then the enter. An error is an exit with a reason, not one of the call. */
noinline struct l4_vcpu_page *vcpu_enter(struct thread *t, u64 slot)
{
	struct l4_vcpu_page *p = t->vcpu->page;
	u32 stop = L4_EXIT_EVENT;
	u64 gpa;

	event(EVENT_GUEST_ENTER, slot, p->frame_gpa);
	/* Without the lock there was no queue when it was looked for. */
	if (!READ_ONCE(p->flush_count) || (kernel_locked() && drain_flushes(t, p)))
		stop = take_hint(t, p, slot);
	if (stop == READY && READ_ONCE(p->pending))
		stop = L4_EXIT_EVENT;
	if (stop != READY)
		return mode_leave(t, stop, 0);
	gpa = READ_ONCE(p->frame_gpa);
	return enter_other(t, slot, gpa, false) ? NULL : enter_anew(t, slot, gpa);
}

/* Return from an upcall, with events enabled as they were. */
error_t vcpu_resume(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;
	u32 irq = READ_ONCE(p->kernel_irq);

	mode_resume(t);
	p->irq_enabled = irq;
	if (irq && READ_ONCE(p->pending))
		t->exit_work = true;
	return L4_ERR_OK;
}

/* Preempted: the guest kernel takes the interrupt, and its system call is repeated. */
static error_t repeat(struct thread *t)
{
	frame_repeat_syscall(thread_frame(t));
	return L4_ERR_OK;
}

/* Sleep until an event is pending; flushes first, as a sleeping vCPU does none. */
error_t vcpu_wait(struct thread *t)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	if (READ_ONCE(p->flush_count) && !drain_flushes(t, p))
		return repeat(t);
	if (!READ_ONCE(p->pending))
		sched_block(t, THREAD_VCPU_WAIT);
	return L4_ERR_OK;
}

/* Set the event timer of the vCPU; NEVER stops it. */
error_t vcpu_timer(struct thread *t, u64 when)
{
	if (when == NEVER)
		timer_cancel(&t->vcpu->timer);
	else
		timer_set(&t->vcpu->timer, when);
	return L4_ERR_OK;
}

/* Ways in and out of a guest kernel of mode above, which it takes without L4. */
error_t vcpu_entries(struct thread *t)
{
	u64 words[L4_MSG_REG_WORDS];

	if (!vspace_above(t->vspace))
		return L4_ERR_STATE;
	l4_frame_get_words(thread_frame(t), words);
	for (u32 i = 0; i < VCPU_ENTRIES; i++)
		if ((words[i] || i != VCPU_FAULT) &&
		    (words[i] < ARCH_USER_TOP || !vspace_has_range(t->vspace, words[i], 1)))
			return L4_ERR_RANGE;
	memcpy(t->vcpu->entry, words, sizeof(t->vcpu->entry));
	arch_load_above(t);
	return L4_ERR_OK;
}

/* Where the guest's other vCPUs see whether this one is preempted; NEVER: they do not look. It runs now. */
error_t vcpu_preempted(struct thread *t, u64 gpa)
{
	const struct region *r;

	if (gpa == NEVER) {
		vcpu_tell_nobody(t->vcpu);
		return L4_ERR_OK;
	}
	if (!aligned(gpa, sizeof(u32)))
		return L4_ERR_ALIGN;
	r = guest_region(t->vspace, gpa, sizeof(u32));
	if (!r)
		return L4_ERR_RANGE;
	t->vcpu->preempted = arch_ptr(r->pa + index_nospec(gpa - r->gpa, r->size));
	WRITE_ONCE(*t->vcpu->preempted, 0);
	return L4_ERR_OK;
}

/*
 * Do the flush queue, and a range of the guest kernel's own table: words 0 and 1 of the message. Word 0 moves on with
 * each repetition.
 */
noinline error_t vcpu_flush(struct thread *t)
{
	struct work work = WORK_PREEMPTIBLE;
	u64 words[L4_MSG_REG_WORDS];
	bool done;

	if (!drain_flushes(t, t->vcpu->page))
		return repeat(t);
	l4_frame_get_words(thread_frame(t), words);
	if (words[0] >= words[1])
		return L4_ERR_OK;
	/* Canonical addresses and those of tables are in the same order. */
	words[0] = arch_table_address(words[0]);
	done = vspace_change(t->vspace, &words[0], arch_table_address(words[1] - 1) + 1, TABLE_CLEAR_FILLED, &work);
	root_flush(t->vspace->root_reg);
	if (done)
		return L4_ERR_OK;
	words[0] = arch_canonical(words[0]);
	l4_frame_set_words(thread_frame(t), words);
	return repeat(t);
}
