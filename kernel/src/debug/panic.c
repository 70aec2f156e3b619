// SPDX-License-Identifier: GPL-2.0-only
/* The end of the kernel, on a bug of its own or of the machine. */
#include <stdarg.h>
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/log.h>

#define STOP_LIMIT_MS 500 /* for each of the two interrupts */

void panic_of_another(void)
{
	__atomic_store_n(&this_cpu()->stands, true, __ATOMIC_RELEASE);
	arch_halt();
}

static bool all_stand(void)
{
	for (u32 n = 0; n < cpu_count; n++)
		if (cpus[n] != this_cpu() && !__atomic_load_n(&cpus[n]->stands, __ATOMIC_ACQUIRE))
			return false;
	return true;
}

/*
 * The others stop when they take an interrupt, or wait for anything in L4. One that is in L4 for good does not: there may
 * be an interrupt that comes even then. Without an end, it is said of that CPU.
 */
static void stop_others(void)
{
	for (u32 again = 0; again < 2 && !all_stand(); again++) {
		u64 limit = arch_counter() + arch_counter_hz() / 1000 * STOP_LIMIT_MS;

		for (u32 n = 0; n < cpu_count; n++)
			if (cpus[n] == this_cpu() || cpus[n]->stands)
				continue;
			else if (again)
				arch_stop(n);
			else
				arch_ipi(n);
		while (!all_stand() && arch_counter() < limit)
			arch_relax();
	}
}

void panic(const char *fmt, ...)
{
	va_list args;

	if (!log_begin_panic())
		panic_of_another();
	if (cpu_count > 1)
		stop_others();
	/* The serial line may be in use by the guest, also behind the first byte of a pair: see the console server. */
	printk("\001L\001L\nl4: PANIC: ");
	va_start(args, fmt);
	vprintk(fmt, args);
	va_end(args);
	printk("\nl4: called from %p\n", __builtin_return_address(0));
	dump_all();
	printk("l4: end of panic\n");
	arch_halt();
}
