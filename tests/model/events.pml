/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events of a vCPU on CPUs that reorder accesses to memory: kernel/src/guest/event.c on the CPU of the signaller;
 * VCPU_WAIT and the way out of L4 on the vCPU's; dispatch_events(), arch_local_irq_enable() and pv_wait() of the Linux
 * port. A model for spin, which tests/unit/test_memory_models.py checks.
 *
 * It is a litmus test: who stores does so in each order that nothing forbids, and a load that may come early does. An
 * order that the code asks for (release, barrier, the lock of L4) is a condition here. Accesses of one vCPU and of L4 on
 * its CPU are in program order for each other. What is shared:
 *
 *   data      what an event stands for, such as the index of a ring: stored by the signaller before the event
 *   events    the bit in the vCPU page, set and taken by atomic operations
 *   pending   the flag in the vCPU page
 *   turn      what a vCPU with interrupts off waits for in pv_wait(), stored before the signal
 *
 * Property: when all is quiet, the vCPU has seen the last of data and its turn.
 *
 * -DPLANT=n leaves an order out, which must be found:
 *   1 data before events (fetch_or with release)       4 pending cleared before turn is read (xchg in pv_wait)
 *   2 events before pending (store with release)       5 events taken before data is read (xchg)
 *   3 pending cleared before events are taken (mb)     6 pv_wait() leaves pending as it is afterwards
 */
#ifndef PLANT
#define PLANT 0
#endif
#define SIGNALS 3 /* the last one is for the turn as well */

byte data, seen;
bool events, pending, turn;
bool lock; /* of L4 */
bool waits, ipi;
bool irq;  /* irq_enabled: of the vCPU alone */
bool had_turn;

inline take() { atomic { !lock -> lock = true } }
inline drop() { lock = false }

/* vcpu_event() with L4's lock, by each signal. */
active proctype signaller()
{
	byte n;
	bool stored, set, flagged;

	do
	:: n == SIGNALS -> break
	:: n < SIGNALS ->
		n++;
		stored = false; set = false; flagged = false;
		/* Before the lock, but not for certain performed when it is taken. */
		if
		:: n == SIGNALS -> turn = true
		:: else
		fi;
		take();
		do
		:: !stored -> data = n; stored = true
		:: !set && (stored || PLANT == 1) -> events = true; set = true
		:: !flagged && stored && (set || PLANT == 2) -> pending = true; flagged = true
		:: stored && set && flagged -> break
		od;
		if
		:: waits -> waits = false
		:: else -> ipi = true
		fi;
		drop()
	od
}

/* Linux takes what is pending: dispatch_events(), with interrupts off. */
inline dispatch()
{
	irq = false;
#if PLANT == 3
	taken = events;
	if
	:: taken -> events = false
	:: else
	fi;
	pending = false;
#else
	pending = false;
#if PLANT == 5
	early = data;
#endif
	atomic { taken = events; events = false }
#endif
	if
#if PLANT == 5
	:: taken -> seen = early
#else
	:: taken -> seen = data
#endif
	:: else
	fi;
	taken = false
}

/* An interrupt of the vCPU's CPU may come between any two steps of it: L4 makes an upcall. */
inline step()
{
	if
	:: ipi -> ipi = false; take(); drop();
		if
		:: pending && irq -> dispatch(); irq = true
		:: else
		fi
	:: true
	fi
}

/* local_irq_enable(): what came meanwhile is taken by hand. */
inline enable()
{
	irq = true;
	step();
	do
	:: pending -> dispatch(); irq = true
	:: !pending -> break
	od
}

/* VCPU_WAIT: with the lock. It comes back as soon as something is pending. */
inline vcpu_wait()
{
	take();
	if
	:: !pending -> waits = true
	:: else
	fi;
	drop();
end_wait:
	!waits
}

active proctype vcpu()
{
	bool taken, wait_more;
	byte early;

	/* A turn that is waited for with interrupts off. */
	irq = false;
	do
	:: had_turn -> break
	:: !had_turn ->
#if PLANT == 4
		wait_more = !turn;
		pending = false;
#else
		pending = false;
		step();
		wait_more = !turn;
#endif
		if
		:: wait_more ->
			take();
			if
			:: !pending -> waits = true
			:: else
			fi;
			drop();
end_turn:		!waits
		:: else -> had_turn = true
		fi;
#if PLANT != 6
		pending = true
#endif
	od;
	step();
	enable();
	/* Idle: with interrupts off until it sleeps. */
	do
	:: irq = false; step();
		vcpu_wait();
		step();
		enable()
	od
}

/* When nobody can go on. */
active proctype quiet()
{
	timeout -> assert(had_turn && seen == data && !events && data == SIGNALS)
}
