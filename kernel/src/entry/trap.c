// SPDX-License-Identifier: GPL-2.0-only
/* Faults, the timer, and the way back to user mode. */
#include <kernel/arch.h>
#include <kernel/entry.h>
#include <kernel/ipc.h>
#include <kernel/irq.h>
#include <kernel/log.h>
#include <kernel/mode.h>
#include <kernel/sched.h>

/* A fault of user mode: a vCPU's is filled or passed to its guest, another thread's goes to its pager. */
struct l4_vcpu_page *trap_page_fault(struct thread *t, u64 addr, u32 access, bool present)
{
	event(EVENT_PAGE_FAULT, addr, access);
	if (t->vcpu)
		return trap_exit_by(vcpu_page_fault(t, addr, access, present));
	ipc_fault(t, L4_FAULT_PAGE, arch_untagged(addr), access, l4_frame_ip(thread_frame(t)), present);
	return trap_exit_by(NULL);
}

struct l4_vcpu_page *trap_exception(struct thread *t, u32 vector, u64 error, u64 addr)
{
	event(EVENT_EXCEPTION, vector, error);
	if (t->vcpu)
		return trap_exit_by(vcpu_exception(t, vector, error, addr));
	ipc_fault(t, L4_FAULT_EXCEPTION, vector, error, l4_frame_ip(thread_frame(t)), l4_frame_sp(thread_frame(t)));
	return trap_exit_by(NULL);
}

/* The timer's interrupt. Who calls it ends with trap_exit(). */
void trap_timer(void)
{
	struct cpu *cpu = this_cpu();
	u64 now = arch_counter();
	struct timer *t;

	cpu->programmed = NEVER;
	while ((t = timer_take_expired(now)))
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

/*
 * Choose who runs, and deliver pending events to its vCPU. The reader of the log is signalled here and not by printk(),
 * which any part of the kernel calls in the middle of something: printk() sets need_resched.
 */
void trap_exit(void)
{
	struct cpu *cpu = this_cpu();

	do {
		if (unlikely(cpu->need_resched)) {
			if (unlikely(cpu->log_unread))
				log_signal_reader();
			schedule();
		}
		if (likely(!cpu->current->exit_work))
			break;
		if (vcpu_exit_work(cpu->current))
			mode_start_kernel(cpu->current);
	} while (cpu->need_resched);
	if (unlikely(cpu->current == &cpu->idle))
		arch_idle();
}

/* The same where the entry code can take a way out: that of the current thread, if no other runs before it. */
static noinline struct l4_vcpu_page *exit_with_work(struct cpu *cpu, struct l4_vcpu_page *way)
{
	if (!way && !cpu->need_resched) {
		way = vcpu_exit_work(cpu->current);
		if (!cpu->need_resched)
			return way;
	}
	if (way)
		mode_start_kernel(cpu->current);
	trap_exit();
	return NULL;
}

struct l4_vcpu_page *trap_exit_by(struct l4_vcpu_page *way)
{
	struct cpu *cpu = this_cpu();

	return likely(!trap_exit_needed(cpu)) ? way : exit_with_work(cpu, way);
}
