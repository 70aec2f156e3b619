/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Points at which quoll-debug.elf counts CPUs that pass, and holds them up on demand: so tests force what seldom happens
 * by itself (tests/kernel/test_cpus_held.c). quoll.elf has nothing of this, and quoll-trace.elf the time of the lock only.
 *
 * Tests ask by SYS_DEBUG_COUNTER, with the tag
 *   - HOLD_FIRST + point: m0 becomes how many CPUs have passed. If m0 is not 0, those of the mask m1 wait there for m0
 *     ticks of the counter from now on, m2 times
 *   - HOLD_RANDOM: m0 is a seed. At each point a CPU waits now and then, for a random time; seed 0 ends that, and all else
 *   - HOLD_LOCK_TIME: m0 becomes the longest time that a CPU had the lock while another one waited, in ticks, m1 what
 *     for: see hold_note(). If m0 is not 0, it is counted anew.
 * m3 is HOLD_KEY, or nothing changes.
 */
#ifndef KERNEL_HOLD_H
#define KERNEL_HOLD_H

#include <hold/points.h>
#include <kernel/types.h>

struct cpu;

#ifdef KERNEL_DEBUG
void hold(enum hold_point p);
void hold_late(const struct cpu *cpu); /* one that starts: too late, if a test has written so into the image */
#else
static inline void hold(enum hold_point p) {}
static inline void hold_late(const struct cpu *cpu) {}
#endif

#if defined(KERNEL_DEBUG) || defined(KERNEL_TRACE)
error_t hold_call(u64 tag, u64 words[static L4_MSG_REG_WORDS]);
void hold_lock_taken(void);
void hold_lock_wanted(void); /* by the next one */
void hold_lock_dropped(void);

/* What this CPU has the lock for: a system call; from 256, an object's type * 256 + operation. */
void hold_note(u32 what);
#else
static inline error_t hold_call(u64 tag, u64 *words) { return L4_ERR_RANGE; }
static inline void hold_lock_taken(void) {}
static inline void hold_lock_wanted(void) {}
static inline void hold_lock_dropped(void) {}
static inline void hold_note(u32 what) {}
#endif

#endif
