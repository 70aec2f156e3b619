/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's lock with several CPUs, and how one CPU has the others come out (kernel/src/sched/lock.c, others.c,
 * entry/trap.c): a model for spin. tests/unit/test_lock_model.py checks it.
 *
 * Safety: who has stopped all others is alone; who had another give up its thread finds it given up; nobody waits for
 * ever (no invalid end state). Liveness, with -DLIVE: what becomes CPU 1's to do is done, and CPU 1 gets the lock.
 *
 * Each step of a process is one access to memory that CPUs share, in the order of the code. Memory is sequentially
 * consistent here: that the code's acquire and release accesses suffice is argued in the code, not here. Every CPU has
 * one thread of its own, which may sleep; it is taken away and comes back as schedule() would have it.
 *
 * -DPLANT=n plants an error, which must be found:
 *   1 who stops the others does not wait for them        4 a CPU is `out` on its way to user mode
 *   2 `kicked` is cleared after the look for work        5 who takes a thread away does not wait until it is given up
 *   3 an idle CPU is not kicked                          6 a CPU that waits for the lock does not look at `leave`
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef PLANT
#define PLANT 0
#endif
#define TICKETS (CPUS + 1)

byte next, serving; /* kernel_ticket, modulo TICKETS */
bool out[CPUS];     /* struct cpu */
bool kicked[CPUS];
bool leave[CPUS];
bool resched[CPUS]; /* need_resched, exit_work: written by who holds the lock */
bool runs[CPUS];    /* current is the thread, not idle */
bool ready[CPUS];   /* the thread can run */
bool irq[CPUS];     /* an IPI is pending at the CPU */

/* Of the properties alone. */
bool apart[CPUS]; /* in user mode, or in what is done without the lock */
bool holds[CPUS], wants[CPUS], alone;

/* While it waits, a CPU may lose its thread. */
inline lock_take()
{
	wants[me] = true;
	d_step { apart[me] = false; out[me] = true }
	d_step { ticket = next; next = (next + 1) % TICKETS }
	do
	:: serving == ticket -> break
#if PLANT != 6
	:: leave[me] -> runs[me] = false; resched[me] = true; leave[me] = false
#endif
	od;
	skip; /* spin lets no jump end at a d_step */
	d_step { assert(!leave[me]); holds[me] = true; wants[me] = false }
}

inline lock_drop(to_idle)
{
	holds[me] = false;
#if PLANT == 4
	d_step { if :: !to_idle -> apart[me] = true :: else fi; serving = (serving + 1) % TICKETS }
	out[me] = to_idle
#else
	out[me] = to_idle;
	d_step { if :: !to_idle -> apart[me] = true :: else fi; serving = (serving + 1) % TICKETS }
#endif
}

/* CPU j is to look for what has become its to do, which is written before. */
inline cpu_kick(j)
{
	if
#if PLANT == 3
	:: j == me || out[j]
#else
	:: j == me || (out[j] && runs[j])
#endif
	:: else ->
		d_step { was = kicked[j]; kicked[j] = true }
		if :: was :: else -> irq[j] = true fi
	fi;
	was = false
}

inline cpus_stop()
{
	for (n : 0 .. CPUS - 1) {
		if :: n != me && !out[n] -> cpu_kick(n) :: else fi
	}
#if PLANT != 1
	for (n : 0 .. CPUS - 1) {
		if :: n != me -> out[n] :: else fi
	}
#endif
	n = 0
}

/* sched_take_away(): CPU j's thread is in its memory then, and becomes ready again. */
inline take_away(j)
{
	if
	:: !runs[j] || j == me
	:: else ->
		cpu_kick(j);
		out[j];
		resched[j] = true;
		leave[j] = true;
#if PLANT != 5
		!leave[j];
#endif
		assert(!runs[j]);
		ready[j] = true; resched[j] = true;
		cpu_kick(j)
	fi
}

/* What is done with the lock held. */
inline operate()
{
	if
	:: ready[me] = false; resched[me] = true /* the thread sleeps */
	:: select_other(); ready[o] = true; resched[o] = true; cpu_kick(o) /* wakes another, or signals its vCPU */
	:: cpus_stop();
	   d_step { alone = true; for (n : 0 .. CPUS - 1) { assert(n == me || !apart[n]) } n = 0 }
	   alone = false
	:: select_other(); take_away(o)
	:: skip
	fi;
	o = 0
}

inline select_other()
{
	if
	:: me != 0 -> o = 0
	:: me != 1 -> o = 1
#if CPUS > 2
	:: me != 2 -> o = 2
#endif
	fi
}

/* trap_exit(): chooses who runs; the CPU is in user mode or idle afterwards. */
inline trap_exit()
{
	if
	:: resched[me] || !runs[me] -> d_step { resched[me] = false; runs[me] = ready[me] }
	:: else
	fi;
	if
	:: runs[me] -> lock_drop(false)
	:: else -> lock_drop(true)
	fi
}

proctype cpu(byte me)
{
	byte ticket, n, o;
	bool was;

	/* cpu_main(), after it has come; CPU 0 starts the first thread. */
end:	do
	/* An interrupt: in user mode before anything else, and when idle. */
	:: irq[me] ->
		irq[me] = false;
		lock_take();
#if PLANT == 2
		was = resched[me];
		trap_exit();
		kicked[me] = false;
		was = false
#else
		kicked[me] = false;
		trap_exit()
#endif
	/* A system call or a fault. A thread that was taken away meanwhile does it later. */
	:: !irq[me] && apart[me] ->
		lock_take();
		if
		:: runs[me] -> operate()
		:: else
		fi;
		trap_exit()
	/* What is done without the lock; it ends as exit_unlocked() does. */
	:: !irq[me] && apart[me] ->
		assert(!alone);
		if
		:: resched[me] -> lock_take(); trap_exit()
		:: else
		fi
	od
}

init
{
	byte i;

	atomic {
		for (i : 0 .. CPUS - 1) {
			out[i] = i != 0;
			runs[i] = i == 0;
			ready[i] = i == 0;
			apart[i] = i == 0;
			run cpu(i)
		}
	}
}

#ifdef LIVE
ltl done { [] (resched[1] -> <> !resched[1]) && [] (wants[1] -> <> holds[1]) }
#endif
