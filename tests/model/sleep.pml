/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a CPU sleeps at L4's lock until another one has something for it, on CPUs that reorder accesses to memory:
 * lock_sleep() of kernel/src/sched/lock.c with lock_pass(), with cpu_leave() of others.c, and, with other names,
 * stop_sleep() with wake_stopper(). A model for spin, which tests/unit/test_memory_models.py checks.
 *
 * One side stores what it has done and gives (the lock, an order to leave), then looks whether the other one sleeps, and
 * with which number. That one stores its number, says that it sleeps, and looks once more. It is a litmus test, as
 * events.pml is: a store is performed in each order that nothing forbids, and a load that may come early does.
 *
 * Property: who is given something sees all that was done before, and does not sleep for ever.
 *
 * -DPLANT=n leaves an order out, which must be found:
 *   1 what was done before what is given (release)         3 number and `sleeps` before the look at what is
 *   2 what is given before the look at `sleeps` and the      given (fence)
 *     number (fence)                                       4 what is given before what was done is read (acquire)
 */
#ifndef PLANT
#define PLANT 0
#endif

bool done_before, given, sleeps, number;
bool ipi; /* what was stored before is seen by who takes it */
bool ended;

active proctype gives()
{
	bool stored, shown, looked, asked, asleep, mine;

	do
	:: !stored -> done_before = true; stored = true
	:: !shown && (stored || PLANT == 1) -> given = true; shown = true
	:: !looked && ((stored && shown) || PLANT == 2) -> asleep = sleeps; looked = true
	:: !asked && ((stored && shown) || PLANT == 2) -> mine = number; asked = true
	:: stored && shown && looked && asked -> break
	od;
	if
	:: asleep && mine -> ipi = true
	:: else
	fi
}

active proctype waits()
{
	bool numbered, said, looked, seen, early;

	do
	:: !numbered -> number = true; numbered = true
	:: !said -> sleeps = true; said = true
	:: !looked && ((numbered && said) || PLANT == 3) ->
		early = done_before;
		seen = given;
		looked = true
	:: numbered && said && looked && seen -> break
	:: numbered && said && looked && !seen ->
		ipi;
		ipi = false;
		looked = false
	od;
#if PLANT == 4
	assert(early);
#else
	assert(done_before);
#endif
	ended = true
}

active proctype quiet()
{
	timeout -> assert(ended)
}
