// SPDX-License-Identifier: GPL-2.0-only
/* What entry.S calls. */
#include <kernel/debug.h>
#include <kernel/entry.h>
#include <kernel/irq.h>
#include <kernel/mode.h>
#include "x86.h"

#define PF_PRESENT BIT(0)
#define PF_WRITE   BIT(1)
#define PF_FETCH   BIT(4)

/* User mode can set them: AC would turn SMAP off, DF the direction of string instructions. */
#define FLAGS_NOT_OURS (BIT(18) | BIT(10))

noinline void x86_syscall(struct cpu *cpu) { trap_syscall(cpu->current); }

noinline struct l4_vcpu_page *x86_vcpu_enter(struct cpu *cpu, u64 slot) { return trap_vcpu_enter(cpu, slot); }

/* Mode above: L4 was not asked when the guest kernel left for user mode and came back. */
void x86_above_syscall(struct cpu *cpu)
{
	cpu->current->in_guest_user = false;
	x86_syscall(cpu);
}

void x86_above_enter(struct cpu *cpu, u64 slot)
{
	cpu->current->in_guest_user = false;
	/* Nothing is remembered; there is one CPU. The result is NULL: see mode_leave(). */
	trap_vcpu_enter_anew(cpu, slot);
}

struct l4_vcpu_page *x86_guest_syscall(struct cpu *cpu) { return vcpu_syscall(cpu->current); }

void x86_guest_bad_entry(void) { mode_start_kernel(this_cpu()->current); }

/* The instruction pointer of a frame is outside user space: general protection, as for a jump there. */
void x86_bad_ip(void)
{
	/* Another thread may have come into L4 than this one: no way out but by the frame. */
	if (trap_exception(this_cpu()->current, VECTOR_GP, 0, 0))
		mode_start_kernel(this_cpu()->current);
}

static void interrupt(u32 vector)
{
	event(EVENT_INTERRUPT, vector, this_cpu()->number);
	/* Over before this CPU may sleep at the lock, where another is to wake it. */
	if (vector == VECTOR_IPI)
		apic_eoi();
	kernel_lock(LOCK_AGAIN);
	if (vector == VECTOR_SPURIOUS)
		return;
	if (vector == VECTOR_IPI) {
		trap_ipi();
		return;
	}
	apic_eoi();
	if (vector == VECTOR_TIMER)
		trap_timer();
	else
		irq_deliver(vector);
}

struct l4_vcpu_page *x86_trap(u32 vector, u64 error)
{
	struct thread *t = this_cpu()->current;

	assert(!(read_flags() & FLAGS_NOT_OURS));
	if (unlikely(t->entry == ENTRY_ABOVE)) {
		struct l4_frame *f = thread_frame(t);

		if (unlikely(f->flags & FLAGS_VM)) /* see gate_from_kernel */
			f->cs = USER_CS;
		t->in_guest_user = f->cs == USER_CS;
	}

	if (vector >= VECTOR_LINE) {
		interrupt(vector);
		return trap_exit_by(NULL);
	} else if (vector == VECTOR_PF) {
		u32 access = error & PF_FETCH ? L4_RIGHT_EXEC : error & PF_WRITE ? L4_RIGHT_WRITE : L4_RIGHT_READ;

		return trap_page_fault(t, read_cr2(), access, error & PF_PRESENT);
	} else if (vector == VECTOR_NM || (vector == VECTOR_UD && this_cpu()->arch.fpu_off)) {
		/* An instruction that does not exist comes again, and is an exception then. */
		fpu_take(t);
		return NULL;
	} else if (vector == VECTOR_NMI) {
		panic("stopped by NMI in user mode");
	} else if (vector == VECTOR_DF || vector == VECTOR_MC) {
		panic("vector %u in user mode", vector);
	}
	return trap_exception(t, vector, error, 0);
}

/* frame: error code, ip, cs, flags, sp, ss */
void x86_kernel_trap(u32 vector, u64 *frame)
{
	if (vector == VECTOR_NMI)
		panic("stopped by NMI at %p", (void *)frame[1]);
	if ((vector == VECTOR_PF || vector == VECTOR_DF) && stack_guard(read_cr2()))
		panic("kernel stack overflow at %p sp %p", (void *)frame[1], (void *)frame[4]);
	if (vector < VECTOR_LINE)
		panic("exception %u in the kernel: error %lx ip %p sp %p cr2 %p", vector, frame[0], (void *)frame[1],
		      (void *)frame[4], (void *)read_cr2());
	interrupt(vector);
	trap_exit();
}
