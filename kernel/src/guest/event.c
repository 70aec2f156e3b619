// SPDX-License-Identifier: GPL-2.0-only
/* Events that become pending at a vCPU. They are delivered when its thread is about to run. */
#include <kernel/arch.h>
#include <kernel/lock.h>
#include <kernel/sched.h>
#include <kernel/vcpu.h>

/*
 * Make event bits of word 0 pending, and wake the vCPU if it waits. It may run on another CPU and look at any time: when
 * it sees the bits, it sees what was stored before them; when it sees `pending`, which it clears before it takes them, it
 * sees the bits (tests/model/events.pml).
 */
void vcpu_event(struct thread *t, u64 bits)
{
	struct l4_vcpu_page *p = t->vcpu->page;

	event(EVENT_GUEST_EVENT, bits, 0);
	__atomic_fetch_or(&p->events.word[0], bits, __ATOMIC_RELEASE);
	__atomic_store_n(&p->pending, 1, __ATOMIC_RELEASE);
	t->exit_work = true;
	if (t->state == THREAD_VCPU_WAIT)
		sched_wake(t);
	else if (cpus_many() && t->cpu->current == t)
		cpu_kick(t->cpu);
}

void vcpu_timer_fired(struct timer *timer)
{
	struct vcpu *v = container_of(timer, struct vcpu, timer);

	if (v->thread)
		vcpu_event(v->thread, BIT(L4_GUEST_EVENT_TIMER));
}
