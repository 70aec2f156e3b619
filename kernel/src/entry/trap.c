// SPDX-License-Identifier: GPL-2.0-only
/* Faults, the timer, and the way back to user mode. */
#include <kernel/arch.h>
#include <kernel/entry.h>
#include <kernel/hold.h>
#include <kernel/ipc.h>
#include <kernel/irq.h>
#include <kernel/log.h>
#include <kernel/mode.h>
#include <kernel/sched.h>

#define TIMER_STEP 16 /* timers, of some hundred instructions each, in one interrupt */

static noinline bool is_lost_at_lock(const struct thread *t)
{
	if (!lock_take(LOCK_AGAIN))
		return true;
	/* Other CPUs may use the same tables. */
	if (t->vcpu)
		cpus_stop_users(NULL, t->vspace);
	return false;
}

/*
 * With several CPUs: a fault of a vCPU that is alone in its VSpace is handled without the lock, unless it turns out to
 * need it (ipc_fault()). True: the thread was taken away while its CPU waited for the lock, and faults again later.
 */
static inline bool is_lost(const struct thread *t)
{
	if (!cpus_many())
		return false;
	if (unlikely(!t->vspace->alone))
		return is_lost_at_lock(t);
	assert(t->vcpu);
	hold(HOLD_GUEST_FAULT);
	return false;
}

/* A fault of user mode: a vCPU's is filled or passed to its guest, another thread's goes to its pager. */
struct l4_vcpu_page *trap_page_fault(struct thread *t, u64 addr, u32 access, bool present)
{
	event(EVENT_PAGE_FAULT, addr, access);
	if (is_lost(t))
		return trap_exit_by(NULL);
	if (t->vcpu)
		return trap_exit_by(vcpu_page_fault(t, addr, access, present));
	ipc_fault(t, L4_FAULT_PAGE, arch_untagged(addr), access, l4_frame_ip(thread_frame(t)), present);
	return trap_exit_by(NULL);
}

struct l4_vcpu_page *trap_exception(struct thread *t, u32 vector, u64 error, u64 addr)
{
	event(EVENT_EXCEPTION, vector, error);
	if (is_lost(t))
		return trap_exit_by(NULL);
	if (t->vcpu)
		return trap_exit_by(vcpu_exception(t, vector, error, addr));
	ipc_fault(t, L4_FAULT_EXCEPTION, vector, error, l4_frame_ip(thread_frame(t)), l4_frame_sp(thread_frame(t)));
	return trap_exit_by(NULL);
}

/* Functions of their own, so that an enter again saves no registers, nor one of another task. */
static noinline struct l4_vcpu_page *enter_unknown(u64 slot)
{
	return trap_exit_by(vcpu_enter_unknown(this_cpu()->current, slot));
}

noinline struct l4_vcpu_page *trap_vcpu_enter_other(u64 slot)
{
	struct cpu *cpu = this_cpu();

	if (unlikely(!vcpu_enter_other(cpu->current, slot)))
		return enter_unknown(slot);
	assert(cpus_many() || !trap_exit_needed(cpu));
	hold(HOLD_GUEST_EXIT);
	return NULL;
}

noinline struct l4_vcpu_page *trap_vcpu_enter_anew(struct cpu *cpu, u64 slot)
{
	return trap_exit_by(vcpu_enter(cpu->current, slot));
}

/* A flush queue may signal, and tables that other CPUs use are changed alone. */
static noinline struct l4_vcpu_page *enter_with_lock(struct thread *t, u64 slot)
{
	/* No registers were saved to do it again: if the thread is taken away, it has had an event. */
	mode_leave_user(t, L4_EXIT_EVENT, 0);
	if (!lock_take(LOCK_AGAIN))
		return trap_exit_by(NULL);
	if (!t->vspace->alone)
		cpus_stop_users(NULL, t->vspace);
	return trap_exit_by(vcpu_enter(t, slot));
}

/*
 * As with one CPU, but for a flush queue. What another CPU has for this one to do comes with an interrupt, which is taken
 * in user mode.
 */
struct l4_vcpu_page *trap_vcpu_enter_many(struct cpu *cpu, u64 slot)
{
	struct thread *t = cpu->current;

	hold(HOLD_GUEST_ENTER);
	if (unlikely(!t->vspace->alone))
		return enter_with_lock(t, slot);
	if (unlikely(vcpu_has_work(t->vcpu)))
		return READ_ONCE(t->vcpu->page->flush_count) ? enter_with_lock(t, slot)
		                                             : trap_vcpu_enter_anew(cpu, slot);
	if (unlikely(!vcpu_enter_again_many(t, slot)))
		return trap_vcpu_enter_other(slot);
	hold(HOLD_GUEST_EXIT);
	return NULL;
}

/* Its sender has set what there is to do before it looked at `kicked`; that a vCPU has events is looked for anew. */
void trap_ipi(void)
{
	struct cpu *cpu = this_cpu();

	hold(HOLD_IPI);
	(void)__atomic_exchange_n(&cpu->kicked, 0, __ATOMIC_SEQ_CST);
	if (cpu->current->vcpu)
		cpu->current->exit_work = true;
	if (unlikely(log_is_panicking()))
		panic_of_another();
}

/*
 * The timer's interrupt. Who calls it ends with trap_exit(). If more timers than TIMER_STEP are due, it is programmed for
 * the next of them, so it comes again as soon as interrupts are on.
 */
void trap_timer(void)
{
	struct cpu *cpu = this_cpu();
	u64 now = arch_counter();
	struct timer *t;

	cpu->programmed = NEVER;
	for (u32 k = 0; k < TIMER_STEP && (t = timer_take_expired(now)); k++)
		if (t->kind == TIMER_VCPU)
			vcpu_timer_fired(t);
		else if (t->kind == TIMER_IRQ_PAUSE)
			irq_pause_over();
		else
			sched_context_refill(t);
	/* schedule() finds out whether budget or slice has ended. */
	if (cpu->timed && cpu->slice_end <= now)
		cpu->need_resched = true;
	timer_program();
}

static void __noreturn idle(void)
{
	if (cpus_many())
		lock_drop(this_cpu(), true);
	arch_idle();
}

/*
 * Choose who runs, and deliver pending events to its vCPU. The reader of the log is signalled here and not by printk(),
 * which any part of the kernel calls in the middle of something: printk() sets need_resched.
 */
static noinline void exit_work(struct cpu *cpu)
{
	do {
		if (unlikely(cpu->need_resched)) {
			if (unlikely(cpu->log_unread))
				log_signal_reader();
			schedule(cpu);
		}
		if (unlikely(cpu->current == &cpu->idle))
			idle();
		if (likely(!cpu->current->exit_work))
			break;
		if (vcpu_exit_work(cpu->current))
			mode_start_kernel(cpu->current);
	} while (cpu->need_resched);
}

/* With several CPUs: the same, and the lock is dropped. */
static noinline void exit_locked(struct cpu *cpu)
{
	if (unlikely(trap_exit_needed(cpu)))
		exit_work(cpu);
	lock_drop(cpu, false);
}

void trap_exit(void)
{
	struct cpu *cpu = this_cpu();

	if (likely(!(cpu->attention | cpu->current->exit_work)))
		return;
	if (unlikely(cpu->many))
		exit_locked(cpu);
	else
		exit_work(cpu);
}

/*
 * With several CPUs. What was done without the lock needs none, if there is no work. While this CPU waits for it, its
 * thread may be taken away, and starts by its frame elsewhere.
 */
static __cold struct l4_vcpu_page *exit_many(struct cpu *cpu, struct l4_vcpu_page *way)
{
	if (!trap_exit_needed(cpu)) {
		if (likely(cpu->locked))
			lock_drop(cpu, false);
		hold(HOLD_GUEST_EXIT);
		return way;
	}
	if (way)
		mode_start_kernel(cpu->current);
	if (!cpu->locked)
		lock_take(LOCK_AGAIN);
	exit_locked(cpu);
	return NULL;
}

/* The same where the entry code can take a way out: that of the current thread, if no other runs before it. */
static noinline struct l4_vcpu_page *exit_with_work(struct cpu *cpu, struct l4_vcpu_page *way)
{
	if (cpus_many())
		return exit_many(cpu, way);
	if (!way && !cpu->need_resched) {
		way = vcpu_exit_work(cpu->current);
		if (!cpu->need_resched)
			return way;
	}
	if (way)
		mode_start_kernel(cpu->current);
	exit_work(cpu);
	return NULL;
}

struct l4_vcpu_page *trap_exit_by(struct l4_vcpu_page *way)
{
	struct cpu *cpu = this_cpu();

	if (unlikely(cpu->attention | cpu->current->exit_work))
		return exit_with_work(cpu, way);
	hold(HOLD_GUEST_EXIT);
	return way;
}
