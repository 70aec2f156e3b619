// SPDX-License-Identifier: GPL-2.0-only
/* The end of the kernel, on a bug of its own or of the machine. */
#include <stdarg.h>
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/log.h>

void panic(const char *fmt, ...)
{
	va_list args;

	if (!log_begin_panic())
		arch_halt();
	for (u32 n = 0; cpu_count > 1 && n < cpu_count; n++)
		if (cpus[n] != this_cpu())
			arch_ipi(n);
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
