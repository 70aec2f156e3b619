/* SPDX-License-Identifier: BSD-2-Clause */
/* The points of kernel/include/kernel/hold.h, which the kernel's tests name as well. */
#ifndef HOLD_POINTS_H
#define HOLD_POINTS_H

#define HOLD_POINT_LIST(X)                                                          \
	X(LOCK_ASKED)     /* comes for the lock, is not yet out */                  \
	X(LOCK_COUNTED)   /* wants the lock that another one has, has no number */  \
	X(LOCK_TICKET)    /* has its number, and has not told which */              \
	X(LOCK_SLEEPS)    /* has told that it sleeps, and looks once more */        \
	X(LOCK_ASLEEP)    /* has looked */                                          \
	X(LOCK_TAKEN)     /* holds the lock, and has done nothing */                \
	X(LOCK_DROPS)     /* holds the lock, and is out no longer */                \
	X(LOCK_PASSES)    /* has dropped it, and has not yet told the next one */   \
	X(LOCK_DROPPED)   /* and has not yet woken the next one */                  \
	X(LEAVES)         /* is to give up its thread, and has not yet */           \
	X(LEFT)           /* and has given it up, and woken nobody */               \
	X(KICKS)          /* has something for another CPU, not yet told */         \
	X(STOPS)          /* has told others to stop, does not wait yet */          \
	X(STOP_SLEEPS)    /* has told that it sleeps until another is out */        \
	X(STOP_ASLEEP)    /* has looked once more whether it is */                  \
	X(TAKES_AWAY)     /* the CPU is out whose thread it takes away */           \
	X(IPI)            /* was interrupted by another, has not looked why */      \
	X(GUEST_FAULT)    /* has a vCPU's fault, has not the lock */                \
	X(GUEST_ENTER)    /* has a vCPU's VCPU_ENTER, has not the lock */           \
	X(GUEST_EXIT)     /* has done it, and is not yet in user mode */            \
	X(FORGETS)        /* forgets translations, as a vCPU came from elsewhere */ \
	X(FLUSHES_OTHERS) /* marks other CPUs to flush */

enum hold_point {
#define X(name) HOLD_##name,
	HOLD_POINT_LIST(X)
#undef X
		HOLD_POINTS
};

/* Tags of SYS_DEBUG_COUNTER, beyond those of counters. */
#define HOLD_FIRST     0x10000
#define HOLD_RANDOM    0x20000
#define HOLD_LOCK_TIME 0x20001

/* m3 of calls that change something, so that random calls change nothing. */
#define HOLD_KEY 0x9d3ec1a7UL

#define HOLD_ANY_TIMES 0xffffffffUL

#endif
