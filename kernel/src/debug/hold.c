// SPDX-License-Identifier: GPL-2.0-only
/* What tests ask of CPUs: see kernel/hold.h. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/hold.h>
#include <kernel/lock.h>

#if defined(KERNEL_DEBUG) || defined(KERNEL_TRACE)
#define LIMIT_MS  10 /* that a CPU is held up at most */
#define RANDOM_US 20 /* the same at random; once in 4 passes */

/* Guarded by the lock. */
static struct {
	u64 since, wanted, longest;
	u32 what, longest_what;
} lock_time;

void hold_lock_taken(void)
{
	lock_time.since = arch_counter();
	lock_time.what = 0;
}

void hold_lock_wanted(void) { lock_time.wanted = arch_counter(); }

void hold_note(u32 what) { lock_time.what = what; }

void hold_lock_dropped(void)
{
	u64 since = lock_time.wanted > lock_time.since ? lock_time.wanted : lock_time.since;
	u64 time = arch_counter() - since;

	if (time <= lock_time.longest || !lock_is_wanted())
		return;
	lock_time.longest = time;
	lock_time.longest_what = lock_time.what;
}

static error_t tell_lock_time(u64 *words)
{
	bool anew = words[0] && words[3] == HOLD_KEY;

	words[0] = lock_time.longest;
	words[1] = lock_time.longest_what;
	if (anew)
		lock_time.longest = 0;
	return L4_ERR_OK;
}

#ifdef KERNEL_DEBUG
static struct {
	u64 passes, ticks;
	u32 cpus, times;
} points[HOLD_POINTS];

static bool at_random;
static u64 last_random;

/* Which of the CPUs that start comes too late; behind what a test finds it by in the image, to change it there. */
static volatile struct {
	char mark[16];
	u32 number;
} late = { "HOLD LATE CPU:", L4_CPUS_MAX };

static void wait(u64 ticks)
{
	u64 since = arch_counter();

	while (arch_counter() - since < ticks)
		arch_relax();
}

/* CPUs without the lock take numbers of one generator, as they come. */
static u64 random_ticks(void)
{
	u64 r = __atomic_add_fetch(&last_random, 0x9e3779b97f4a7c15, __ATOMIC_RELAXED);

	r = (r ^ r >> 30) * 0xbf58476d1ce4e5b9;
	r ^= r >> 27;
	return r & 3 ? 0 : (r >> 8) % (arch_counter_hz() / 1000000 * RANDOM_US);
}

/* Is this CPU to wait here? A test may end that at the same time. */
static bool is_held(enum hold_point p)
{
	u32 times = __atomic_load_n(&points[p].times, __ATOMIC_ACQUIRE);

	while (times && points[p].cpus >> this_cpu()->number & 1)
		if (__atomic_compare_exchange_n(&points[p].times, &times, times - 1, false, __ATOMIC_ACQ_REL,
		                                __ATOMIC_ACQUIRE))
			return true;
	return false;
}

void hold(enum hold_point p)
{
	__atomic_fetch_add(&points[p].passes, 1, __ATOMIC_RELAXED);
	if (is_held(p))
		wait(points[p].ticks);
	else if (READ_ONCE(at_random))
		wait(random_ticks());
}

void hold_late(const struct cpu *cpu)
{
	if (!cpu->number || cpu->number != late.number)
		return;
	late.number = L4_CPUS_MAX; /* the next one has its number */
	wait(arch_counter_hz() + arch_counter_hz() / 4);
}

static error_t hold_at_random(const u64 *words)
{
	if (words[3] != HOLD_KEY)
		return L4_ERR_RANGE;
	last_random = words[0];
	at_random = words[0];
	for (u32 p = 0; p < HOLD_POINTS; p++)
		points[p].times = 0;
	return L4_ERR_OK;
}

static error_t ask(u64 p, u64 *words)
{
	u64 passes;

	if (p >= HOLD_POINTS)
		return L4_ERR_RANGE;
	passes = READ_ONCE(points[p].passes);
	if (words[0] && words[3] == HOLD_KEY) {
		points[p].ticks = min_u64(words[0], arch_counter_hz() / 1000 * LIMIT_MS);
		points[p].cpus = words[1];
		__atomic_store_n(&points[p].times, words[2], __ATOMIC_RELEASE);
	}
	words[0] = passes;
	return L4_ERR_OK;
}
#else
static error_t hold_at_random(const u64 *words) { return L4_ERR_RANGE; }
static error_t ask(u64 p, u64 *words) { return L4_ERR_RANGE; }
#endif

error_t hold_call(u64 tag, u64 words[static L4_MSG_REG_WORDS])
{
	if (tag == HOLD_LOCK_TIME)
		return tell_lock_time(words);
	return tag == HOLD_RANDOM ? hold_at_random(words) : ask(tag - HOLD_FIRST, words);
}
#endif
