// SPDX-License-Identifier: GPL-2.0-only
/* What entry.S calls. */
#include <kernel/debug.h>
#include <kernel/irq.h>
#include <kernel/vspace.h>
#include "x86.h"

#define PF_PRESENT BIT(0)
#define PF_WRITE   BIT(1)
#define PF_FETCH   BIT(4)

/* User mode can set them: AC would turn SMAP off, DF the direction of string instructions. */
#define FLAGS_NOT_OURS (BIT(18) | BIT(10))

void x86_syscall(struct cpu *cpu) { trap_syscall(cpu); }

void x86_vcpu_enter(struct cpu *cpu, u64 slot)
{
	vcpu_enter(cpu->current, slot);
	if (unlikely(trap_exit_needed(cpu)))
		trap_exit();
}

struct l4_vcpu_page *x86_guest_syscall(struct cpu *cpu) { return vcpu_syscall(cpu->current); }

void x86_guest_bad_entry(void)
{
	struct thread *t = this_cpu()->current;
	struct l4_vcpu_page *p = t->vcpu->page;

	frame_start(thread_frame(t), READ_ONCE(p->user_entry), READ_ONCE(p->kernel_sp), L4_EXIT_SYSCALL, 0);
}

/* The instruction pointer of a frame is outside user space. */
void x86_bad_ip(void) { trap_exception(this_cpu()->current, ARCH_VECTOR_BAD_IP, 0, 0); }

static void interrupt(u32 vector)
{
	event(EVENT_INTERRUPT, vector, 0);
	if (vector == VECTOR_SPURIOUS)
		return;
	apic_eoi();
	if (vector == VECTOR_TIMER)
		timer_interrupt();
	else
		irq_deliver(vector);
}

void x86_trap(u32 vector, u64 error)
{
	struct thread *t = this_cpu()->current;

	assert(!(read_flags() & FLAGS_NOT_OURS));

	if (vector >= VECTOR_LINE) {
		interrupt(vector);
		trap_exit();
	} else if (vector == VECTOR_PF) {
		u32 access = error & PF_FETCH ? L4_RIGHT_EXEC : error & PF_WRITE ? L4_RIGHT_WRITE : L4_RIGHT_READ;

		trap_page_fault(t, read_cr2(), access, error & PF_PRESENT);
	} else if (vector == VECTOR_NM) {
		fpu_trap(t);
	} else if (vector == VECTOR_NMI) {
		panic("stopped by NMI in user mode");
	} else if (vector == VECTOR_DF || vector == VECTOR_MC) {
		panic("vector %u in user mode", vector);
	} else {
		trap_exception(t, vector, error, 0);
	}
}

/* frame: error code, ip, cs, flags, sp, ss */
void x86_kernel_trap(u32 vector, u64 *frame)
{
	if (vector == VECTOR_NMI)
		panic("stopped by NMI at %p", (void *)frame[1]);
	if (vector == VECTOR_DF && stack_guard(read_cr2()))
		panic("kernel stack overflow at %p sp %p", (void *)frame[1], (void *)frame[4]);
	if (vector < VECTOR_LINE)
		panic("exception %u in the kernel: error %lx ip %p sp %p cr2 %p", vector, frame[0], (void *)frame[1],
		      (void *)frame[4], (void *)read_cr2());
	interrupt(vector);
	trap_exit();
}

bool arch_interrupt_pending(void) { return apic_pending(); }

u64 arch_counter(void)
{
	u32 lo, hi;

	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return lo | (u64)hi << 32;
}

static u64 counter_hz, timer_scale;

u64 arch_counter_hz(void)
{
	if (!counter_hz)
		counter_hz = clock_calibrate();
	return counter_hz;
}

void arch_timer_set(u64 when)
{
	u64 now = arch_counter(), left = when > now ? when - now : 0;

	/* Ticks of the timer for each of the counter, with 32 fractional bits. */
	if (!timer_scale)
		timer_scale = (apic_timer_hz << 32) / arch_counter_hz();
	apic_timer((unsigned __int128)left * timer_scale >> 32);
}

error_t arch_ioport_invoke(struct invocation *i)
{
	u64 port = i->arg[0], width = i->arg[1], range = i->slot->badge;

	if (i->op > L4_IOPORT_OUT)
		return L4_ERR_OP;
	if (!(i->slot->rights & (i->op == L4_IOPORT_IN ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (width != 1 && width != 2 && width != 4)
		return L4_ERR_ARG;
	if (port < (range & 0xffff) || port > range >> 16 || width - 1 > (range >> 16) - port)
		return L4_ERR_RANGE;
	if (i->op == L4_IOPORT_IN)
		i->result[0] = width == 1 ? inb(port) : width == 2 ? inw(port) : inl(port);
	else if (width == 1)
		outb(port, i->arg[2]);
	else if (width == 2)
		outw(port, i->arg[2]);
	else
		outl(port, i->arg[2]);
	return L4_ERR_OK;
}
