// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's lock, and how CPUs stop each other. Those that wait have numbers: who came first is served first. Who
 * finds the lock free takes none: one atomic access takes it, and one drops it.
 *
 * Without the lock are done: a guest's system call, VCPU_ENTER, and faults of a guest that L4 resolves or passes to it,
 * if its VSpace is used by that vCPU alone (struct vspace, alone); the load of the FPU. They touch only
 *   - the CPU's own struct cpu: arch, current; they read need_resched
 *   - the current thread: its mode, its frame, exit_work; its vCPU and vCPU page; they read its CNode's slots
 *   - its VSpace: tables, pool, lists of GuestSpaces; GuestSpaces of that VSpace; they read its regions
 * and they never wait. A CPU says by `out` that it does none of this and is not in user mode. It sets `out` before it
 * waits for the lock and clears it as it drops the lock; who finds the lock free leaves it as it was. Only a CPU that
 * holds the lock clears its own `out`; so who holds the lock and has seen all others out is alone in the machine. It need
 * not be: what is not listed above needs the lock only.
 *
 * A CPU at the lock still has its current thread's registers. leave_current() has it give them up, on demand.
 */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/hold.h>
#include <kernel/lock.h>
#include <kernel/log.h>
#include <kernel/sched.h>

#define START_LIMIT_MS 1000

/*
 * This CPU has stored what the one that holds the lock waits for. That one tells that it sleeps before it looks once more:
 * one of the two sees the other.
 */
static void wake_stopper(void)
{
	struct cpu *stopper;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	stopper = __atomic_load_n(&stopper_asleep, __ATOMIC_RELAXED);
	if (stopper)
		arch_ipi(stopper->number);
}

/* By the CPU itself, while the one that holds the lock waits for it. */
static void leave_current(struct cpu *cpu)
{
	struct thread *t = cpu->current;

	hold(HOLD_LEAVES);
	if (cpu->waits_for == LOCK_SYSCALL)
		frame_repeat_syscall(thread_frame(t));
	sched_leave();
	__atomic_store_n(&cpu->leave, false, __ATOMIC_RELEASE);
	hold(HOLD_LEFT);
	wake_stopper();
}

static inline bool is_served(const struct cpu *cpu)
{
	return __atomic_load_n(&kernel_ticket.serving, __ATOMIC_ACQUIRE) == cpu->ticket;
}

/*
 * Who has something for this CPU (the lock, an order to leave, a panic) stores that before it looks whether this CPU
 * sleeps; this one says that it sleeps before it looks. So one of the two sees the other, and none sleeps for ever:
 * tests/model/sleep.pml. Both have a fence between store and load. By the language a sequentially consistent store and
 * load would do, on aarch64 an STLR and an LDAR, of which the store is barrier-ordered before the load (Arm ARM, B2.3);
 * but QEMU's TCG on a PC lets the LDAR come first.
 */
static void lock_sleep(struct cpu *cpu)
{
	__atomic_store_n(&cpu->sleeps, true, __ATOMIC_RELAXED);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	hold(HOLD_LOCK_SLEEPS);
	if (!is_served(cpu) && !__atomic_load_n(&cpu->leave, __ATOMIC_ACQUIRE) && !log_is_panicking()) {
		hold(HOLD_LOCK_ASLEEP);
		arch_lock_sleep();
	}
	__atomic_store_n(&cpu->sleeps, false, __ATOMIC_RELAXED);
}

/*
 * A CPU that spins takes the time of the one that holds the lock where both are threads of a host with fewer CPUs: then
 * each turn of the lock lasted as long as a turn of the host's scheduler.
 */
static void wait_for_turn(struct cpu *cpu)
{
	u64 since = arch_counter(), spin_end = lock_spin_end(since);
	u32 ticket = __atomic_add_fetch(&kernel_ticket.next, 1, __ATOMIC_ACQ_REL);

	hold(HOLD_LOCK_TICKET);
	cpu->ticket = ticket;
	wake_stopper();
	if (READ_ONCE(kernel_ticket.serving) + 1 == cpu->ticket)
		hold_lock_wanted();
	while (!is_served(cpu)) {
		if (__atomic_load_n(&cpu->leave, __ATOMIC_ACQUIRE))
			leave_current(cpu);
		if (unlikely(log_is_panicking()))
			panic_of_another();
		if (arch_counter() < spin_end)
			arch_relax();
		else
			lock_sleep(cpu);
	}
	if (cpu->timed && !cpu->timed->unlimited)
		cpu->waited += arch_counter() - since;
}

bool lock_take(enum lock_reason why)
{
	struct cpu *cpu = this_cpu();
	struct thread *t = cpu->current;

	/* By ipc/fast.c, which has left the rest to others. */
	if (cpu->locked) {
		assert(why == LOCK_SYSCALL && !cpu->alone);
		hold_lock_taken();
		arch_lock_taken(cpu);
		return true;
	}
	cpu->waits_for = why;
	hold(HOLD_LOCK_ASKED);
	__atomic_store_n(&cpu->out, true, __ATOMIC_RELEASE);
	if (__atomic_fetch_add(&kernel_ticket.count, 1, __ATOMIC_ACQ_REL)) {
		hold(HOLD_LOCK_COUNTED);
		wait_for_turn(cpu);
	}
	cpu->locked = true;
	hold_lock_taken();
	hold(HOLD_LOCK_TAKEN);
	arch_lock_taken(cpu);
	return cpu->current == t;
}

/*
 * Only one CPU at a time is here, since nobody takes a lock that is wanted. Who is served has perhaps gone to sleep. One
 * that has not yet taken or stored its number does not sleep, and sees that it is served.
 */
void lock_pass(void)
{
	u32 next = kernel_ticket.serving + 1;

	hold(HOLD_LOCK_PASSES);
	__atomic_store_n(&kernel_ticket.serving, next, __ATOMIC_RELEASE);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	hold(HOLD_LOCK_DROPPED);
	for (u32 n = 0; n < cpu_count; n++)
		if (__atomic_load_n(&cpus[n]->sleeps, __ATOMIC_RELAXED) && READ_ONCE(cpus[n]->ticket) == next)
			arch_ipi(n);
}

/* Has it come? If not in time, it never will: it finds that it is not wanted, and halts. */
static bool has_come(struct cpu *cpu)
{
	u64 limit = arch_counter() + arch_counter_hz() / 1000 * START_LIMIT_MS;
	u32 state = CPU_STARTS;

	while (arch_counter() < limit)
		if (__atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE) == CPU_CAME)
			return true;
		else
			arch_relax();
	return !__atomic_compare_exchange_n(&cpu->state, &state, CPU_UNWANTED, false, __ATOMIC_ACQ_REL,
	                                    __ATOMIC_ACQUIRE);
}

void cpus_start(void)
{
	u32 count = 1;

	cpus[0] = this_cpu();
	if (arch_cpus() == 1)
		return;
	lock_take(LOCK_AGAIN);
	for (u32 n = 1; n < arch_cpus() && count < L4_CPUS_MAX; n++) {
		struct cpu *cpu = arch_cpu_data(n);

		cpu->number = count;
		cpu->out = true;
		cpus[count] = cpu;
		__atomic_store_n(&cpu->state, CPU_STARTS, __ATOMIC_RELEASE);
		if (!arch_cpu_start(n))
			continue;
		if (has_come(cpu)) {
			count++;
		} else {
			/* The next one has its number. */
			arch_cpu_unwanted(n);
			printk("l4: CPU %u of firmware's list does not start\n", n);
		}
	}
	if (count < L4_CPUS_MAX)
		cpus[count] = NULL;
	printk("l4: %u of %u CPUs run\n", count, arch_cpus());
	cpu_count = count;
	for (u32 n = 0; n < count; n++)
		cpus[n]->many = count > 1;
	if (count > 1)
		arch_cpus_many();
	else
		lock_drop(cpus[0], false);
}

/* Not inlined: where it is called from, this_cpu() could be read before the CPU has been told. */
noinline void cpu_main(void)
{
	struct cpu *cpu = this_cpu();
	u32 state = CPU_STARTS;

	if (!__atomic_compare_exchange_n(&cpu->state, &state, CPU_CAME, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
		arch_halt();
	lock_take(LOCK_AGAIN);
	lock_drop(cpu, true);
	arch_idle();
}
