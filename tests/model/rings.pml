/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A ring on CPUs that reorder accesses to memory: servers/lib/virtio/backend_queue.c and Linux' virtio_ring.c, or
 * servers/lib/virtio/virtqueue.c and a device. A model for spin, which tests/unit/test_memory_models.py checks.
 *
 * One side fills entries and shows them by an index; the other one takes them, says by a flag whether it wants to be
 * told, and sleeps. The way back (used ring, interrupt) is the same with other names. It is a litmus test, as events.pml
 * is: a store is performed in each order that nothing forbids, and a load that may come early does.
 *
 * Property: no entry is taken before it is there; when all is quiet, all have been taken.
 *
 * -DPLANT=n leaves an order out, which must be found:
 *   1 entry before index (release)           3 flag before the look at the index (l4_mb in backend_kicks())
 *   2 index before the look at the flag      4 index before entry is read (acquire)
 *     (l4_mb in virtqueue_kick())            5 nobody looks again before the sleep
 */
#ifndef PLANT
#define PLANT 0
#endif
#define ENTRIES 3

byte entry[ENTRIES + 1]; /* entry n has n when it is there */
byte index;              /* of the last entry that is shown */
bool quiet_flag;         /* do not tell me */
bool kick;               /* by L4: what was stored before is seen by who is woken */
byte taken;

active proctype fills()
{
	byte n;
	bool stored, shown, looked, tell;

	do
	:: n == ENTRIES -> break
	:: n < ENTRIES ->
		n++;
		stored = false; shown = false; looked = false;
		do
		:: !stored -> entry[n] = n; stored = true
		:: !shown && (stored || PLANT == 1) -> index = n; shown = true
		:: !looked && ((stored && shown) || PLANT == 2) -> tell = !quiet_flag; looked = true
		:: stored && shown && looked -> break
		od;
		if
		:: tell -> kick = true
		:: else
		fi
	od
}

inline take(n)
{
#if PLANT != 4
	assert(entry[n] == n);
#endif
	taken = n
}

active proctype takes()
{
	byte last, early;
	bool more;

	do
	:: quiet_flag = true;
		do
#if PLANT == 4
		:: early = entry[taken + 1]; last = index;
			if
			:: last != taken -> assert(early == taken + 1); take(taken + 1)
			:: else -> break
			fi
		:: taken == ENTRIES -> break
#else
		:: index != taken -> take(taken + 1)
		:: index == taken -> break
#endif
		od;
		/* The look for more comes after the flag, or before it. */
#if PLANT == 3
		more = index != taken;
		quiet_flag = false;
#else
		quiet_flag = false;
		more = index != taken;
#endif
#if PLANT == 5
		more = false;
#endif
		if
		:: more
		:: else ->
end_wait:		kick;
			kick = false
		fi
	od
}

active proctype quiet()
{
	timeout -> assert(taken == ENTRIES)
}
