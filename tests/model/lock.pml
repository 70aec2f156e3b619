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
 * Checked whole: two CPUs. For three there are too many states, so they are checked in two ways that have fewer:
 *   -DSPIN    no CPU sleeps at the lock, or until another one is out; to be counted and take a ticket is one step, and
 *             so is to drop the lock
 *   -DCOARSE  they do, but
 *             - a CPU is counted and takes a ticket in one step, which is its place among those counted. In between it
 *               does not sleep, and nobody else reads that
 *             - who drops the lock looks in one step for whom to wake: only one has that ticket, so only that look counts
 *             - tickets are counted from the one that is served, as the numbers themselves make no difference
 *             - who is woken too late, when it has had its turn, is not interrupted once more for nothing; so it is with
 *               who sleeps until another one is out
 *
 * -DPLANT=n plants an error, which must be found:
 *   1 who stops the others does not wait for them        4 a CPU is `out` on its way to user mode
 *   2 `kicked` is cleared after the look for work        5 who takes a thread away does not wait until it is given up
 *   3 an idle CPU is not kicked                          6 a CPU that waits for the lock does not look at `leave`
 *   7 who drops the lock wakes nobody                    8 a CPU sleeps without a look whether it is served meanwhile
 *   9 who takes a thread away does not wake its CPU      10 who drops the lock looks for tickets instead of the count
 *  11 a CPU that is out does not wake who waits for that  12 who waits for others sleeps without a look whether they are out
 *  13 a CPU that has given up its thread wakes nobody
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef PLANT
#define PLANT 0
#endif
#define TICKETS (CPUS + 1)
#define NONE    TICKETS

#ifndef COARSE
byte count, next, serving; /* kernel_ticket; the numbers are modulo TICKETS */
#define SERVED(n) (serving == ticket[n])
#else
byte queue;       /* CPUs at the lock, who has it included */
byte wakes[CPUS]; /* whom this CPU is still to wake */
#define SERVED(n) (ticket[n] == 0)
#endif
bool out[CPUS];     /* struct cpu */
bool kicked[CPUS];
bool leave[CPUS];
bool resched[CPUS]; /* need_resched, exit_work: written by who holds the lock */
bool runs[CPUS];    /* current is the thread, not idle */
bool ready[CPUS];   /* the thread can run */
bool irq[CPUS];     /* an IPI is pending at the CPU */
bool sleeps[CPUS];  /* at the lock, or about to */
byte stopper = NONE; /* stopper_asleep: who has the lock, and sleeps until another one is out */
byte ticket[CPUS];  /* its turn at the lock, while it waits there; else NONE */

/* Of the properties alone; those of liveness are left out where it is not checked. */
bool apart[CPUS]; /* in user mode, or in what is done without the lock */
bool alone;
#ifdef LIVE
bool holds[CPUS], wants[CPUS];
#define TELL(x) x
#else
#define TELL(x) skip
#endif

/* What the CPU with the lock waits for is stored. */
inline wake_stopper()
{
#ifdef COARSE
	d_step { if :: stopper != NONE -> irq[stopper] = true :: else fi }
#else
	was = stopper;
	d_step { if :: was != NONE -> irq[was] = true :: else fi; was = 0 }
#endif
}

/* wait_stopped(): has CPU j come out, and given up its thread if it was to? stop_sleep() while it has not. */
#define STOPPED(j) (out[j] && !leave[j])
inline wait_stopped(j)
{
#ifdef SPIN
	STOPPED(j)
#else
	do
	:: STOPPED(j) -> break
	:: !STOPPED(j) ->
		stopper = me;
		if
#if PLANT != 12
		:: STOPPED(j)
		:: !STOPPED(j) ->
#else
		:: true ->
#endif
			irq[me]; d_step { irq[me] = false; kicked[me] = false }
		fi;
		stopper = NONE
	od
#endif
}

/* lock_sleep(): the interrupt that ends it is taken there. */
inline lock_sleep()
{
	sleeps[me] = true;
	if
#if PLANT != 8
	:: SERVED(me)
	:: !SERVED(me) ->
#else
	:: true ->
#endif
		if
#if PLANT != 6
		:: leave[me]
		:: !leave[me] ->
#else
		:: true ->
#endif
			irq[me]; d_step { irq[me] = false; kicked[me] = false }
		fi
	fi;
	sleeps[me] = false
}

/* While it waits, a CPU may lose its thread, and may sleep. */
inline lock_take()
{
	d_step { TELL(wants[me] = true); apart[me] = false; out[me] = true }
#ifdef COARSE
	d_step { ticket[me] = queue; queue++ }
#elif defined(SPIN)
	d_step {
		if
		:: count == 0 -> ticket[me] = serving
		:: else -> next = (next + 1) % TICKETS; ticket[me] = next
		fi;
		count++
	}
#else
	d_step { was = count; count++ }
	if
	:: was == 0 -> d_step { ticket[me] = serving; was = 0 } /* it has none: for what follows, that of its turn */
	:: else ->
		d_step { next = (next + 1) % TICKETS; was = next }
		d_step { ticket[me] = was; was = 0 }
	fi;
#endif
#if !defined(SPIN) && PLANT != 11
	if
	:: SERVED(me)
	:: !SERVED(me) -> wake_stopper()
	fi;
#endif
	do
	:: SERVED(me) -> break
#if PLANT != 6
	:: leave[me] -> runs[me] = false; resched[me] = true; leave[me] = false
#if !defined(SPIN) && PLANT != 13
	   ; wake_stopper()
#endif
#endif
#ifndef SPIN
	:: else -> lock_sleep()
#endif
	od;
	skip; /* spin lets no jump end at a d_step */
	d_step { assert(!leave[me]); TELL(holds[me] = true; wants[me] = false); ticket[me] = NONE
#ifdef COARSE
		; for (n : 0 .. CPUS - 1) { if :: wakes[n] == me -> wakes[n] = NONE :: else fi } n = 0
#endif
	}
}

#ifdef COARSE
/* The next one is served. */
inline turn()
{
	queue--;
	for (n : 0 .. CPUS - 1) {
		if
		:: ticket[n] == NONE
		:: else -> ticket[n]--; if :: ticket[n] == 0 -> wakes[me] = n :: else fi
		fi
	}
	n = 0
}

inline wake()
{
	if
	:: wakes[me] == NONE
	:: wakes[me] != NONE ->
		d_step {
			if
			:: wakes[me] != NONE && sleeps[wakes[me]] -> irq[wakes[me]] = true
			:: else
			fi;
			wakes[me] = NONE
		}
	fi
}
#else
inline turn()
{
	count--;
#ifdef SPIN
	if :: count -> serving = (serving + 1) % TICKETS :: else fi
#elif PLANT != 10
	passes = count != 0
#else
	passes = next != serving
#endif
}

/* One that reads `sleeps` may find the ticket given up, or another one, when it reads that. */
inline wake()
{
	if
	:: !passes
	:: passes ->
		d_step { serving = (serving + 1) % TICKETS; served = serving; passes = false }
#if PLANT != 7
		for (n : 0 .. CPUS - 1) {
			if
			:: sleeps[n] ->
				if
				:: ticket[n] == served || ticket[n] == NONE -> irq[n] = true
				:: ticket[n] != served
				fi
			:: else
			fi
		}
		skip;
#endif
		d_step { n = 0; served = 0 }
	fi
}
#endif

inline lock_drop(to_idle)
{
#if PLANT != 4
	d_step { TELL(holds[me] = false); out[me] = to_idle }
#endif
	d_step {
		if :: !to_idle -> apart[me] = true :: else fi;
		turn()
	}
#if PLANT == 4
	out[me] = to_idle;
#endif
#if !defined(SPIN) && !(defined(COARSE) && PLANT == 7)
	wake()
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
		if :: n != me -> wait_stopped(n) :: else fi
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
		wait_stopped(j);
		resched[j] = true;
		leave[j] = true;
#if PLANT != 9 && !defined(SPIN)
		if :: sleeps[j] -> irq[j] = true :: else fi;
#endif
#if PLANT != 5
		wait_stopped(j);
#endif
		assert(!runs[j]);
		ready[j] = true; resched[j] = true;
		cpu_kick(j)
	fi
}

/* lock_take_free(): takes the lock if nobody has it, without `out`. */
inline take_free()
{
	d_step {
		if
#ifdef COARSE
		:: queue == 0 -> queue++; was = true
#else
		:: count == 0 -> count++; was = true
#endif
		:: else
		fi
	}
}

inline kernel_lock()
{
	take_free();
	if
	:: was -> d_step { was = false; apart[me] = false; TELL(holds[me] = true) }
	:: !was -> lock_take()
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

/* ipc/fast.c has done the call: to user mode, as another thread. */
inline fast_drop()
{
	d_step { turn(); was = false }
#if !defined(SPIN) && !(defined(COARSE) && PLANT == 7)
	wake()
#endif
}

proctype cpu(byte me)
{
	byte served, n, o, was;
	bool passes;

	/* cpu_main(), after it has come; CPU 0 starts the first thread. */
end:	do
	/* An interrupt: in user mode before anything else, and when idle. */
	:: irq[me] ->
		irq[me] = false;
		kernel_lock();
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
		kernel_lock();
		if
		:: runs[me] -> operate()
		:: else
		fi;
		trap_exit()
	/* The fast path. What is no case for it goes on as a system call that has taken the free lock. */
	:: !irq[me] && apart[me] ->
		take_free();
		if
		:: was -> fast_drop()
		:: !was
		fi
	/* What is done without the lock; it ends as exit_many() does. */
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
			ticket[i] = NONE;
#ifdef COARSE
			wakes[i] = NONE;
#endif
			run cpu(i)
		}
	}
}

#ifdef LIVE
ltl done { [] (resched[1] -> <> !resched[1]) && [] (wants[1] -> <> holds[1]) }
#endif
