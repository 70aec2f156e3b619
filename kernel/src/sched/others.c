// SPDX-License-Identifier: GPL-2.0-only
/* What the CPU that holds the lock does with the others. See lock.c for what they do. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/hold.h>
#include <kernel/lock.h>
#include <kernel/log.h>

static inline bool is_out(const struct cpu *cpu) { return __atomic_load_n(&cpu->out, __ATOMIC_ACQUIRE); }

/* One that waits at the lock looks for what there is to do when it has it. */
void cpu_kick(struct cpu *cpu)
{
	if (cpu == this_cpu() || (is_out(cpu) && cpu->current != &cpu->idle))
		return;
	hold(HOLD_KICKS);
	if (!__atomic_exchange_n(&cpu->kicked, 1, __ATOMIC_SEQ_CST))
		arch_ipi(cpu->number);
}

/* Is the CPU out, and has it given up its thread, if it was to? */
static inline bool has_stopped(const struct cpu *cpu)
{
	return is_out(cpu) && !__atomic_load_n(&cpu->leave, __ATOMIC_ACQUIRE);
}

/* See wake_stopper() in lock.c. */
static void stop_sleep(const struct cpu *cpu)
{
	__atomic_store_n(&stopper_asleep, this_cpu(), __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	hold(HOLD_STOP_SLEEPS);
	if (!has_stopped(cpu) && !log_is_panicking()) {
		hold(HOLD_STOP_ASLEEP);
		arch_lock_sleep();
	}
	__atomic_store_n(&stopper_asleep, NULL, __ATOMIC_RELAXED);
}

/*
 * Sleeps for the reason that wait_for_turn() of lock.c does. The one that is waited for may be in a panic, which wakes
 * all.
 */
static void wait_stopped(const struct cpu *cpu)
{
	u64 spin_end;

	if (has_stopped(cpu))
		return;
	spin_end = lock_spin_end(arch_counter());
	while (!has_stopped(cpu)) {
		if (unlikely(log_is_panicking()))
			panic_of_another();
		if (arch_counter() < spin_end)
			arch_relax();
		else
			stop_sleep(cpu);
	}
}

/* What a CPU uses without the lock is its current thread's, and that is another one only with the lock. */
static bool uses(const struct cpu *cpu, const struct cnode *c, const struct vspace *v)
{
	const struct thread *t = cpu->current;

	return cpu != this_cpu() && ((c && t->cnode == c) || (v && t->vspace == v));
}

void cpus_stop_users(const struct cnode *c, const struct vspace *v)
{
	assert(kernel_locked());
	this_cpu()->alone = true;
	for (u32 n = 0; n < cpu_count; n++)
		if (uses(cpus[n], c, v) && !is_out(cpus[n]))
			cpu_kick(cpus[n]);
	hold(HOLD_STOPS);
	for (u32 n = 0; n < cpu_count; n++)
		if (uses(cpus[n], c, v))
			wait_stopped(cpus[n]);
}

void cpus_stop(void)
{
	struct cpu *self = this_cpu();

	assert(kernel_locked());
	self->alone = true;
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n] != self && !is_out(cpus[n]))
			cpu_kick(cpus[n]);
	hold(HOLD_STOPS);
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n] != self)
			wait_stopped(cpus[n]);
}

void cpu_leave(struct cpu *cpu)
{
	assert(kernel_locked() && cpu->current != &cpu->idle);
	cpu_kick(cpu);
	wait_stopped(cpu);
	cpu->need_resched = true;
	hold(HOLD_TAKES_AWAY);
	/* See lock_sleep() in lock.c. */
	__atomic_store_n(&cpu->leave, true, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (__atomic_load_n(&cpu->sleeps, __ATOMIC_RELAXED))
		arch_ipi(cpu->number);
	wait_stopped(cpu);
}
