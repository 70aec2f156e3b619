// SPDX-License-Identifier: GPL-2.0-only
/* What entry.S calls. */
#include <kernel/debug.h>
#include <kernel/entry.h>
#include <kernel/irq.h>
#include <kernel/mode.h>
#include <kernel/paging.h>
#include "riscv.h"

void riscv_syscall(void) { trap_syscall(this_cpu()->current); }

struct l4_vcpu_page *riscv_vcpu_enter(u64 slot) { return trap_vcpu_enter(this_cpu(), slot); }

struct l4_vcpu_page *riscv_guest_syscall(void) { return vcpu_syscall(this_cpu()->current); }

/* Pending no more before its sender's orders are looked for: one that comes later interrupts again. */
static void take_ipi(void)
{
	csr_clear(sip, BIT(IRQ_SOFTWARE));
	trap_ipi();
}

void arch_lock_sleep(void)
{
	u64 enabled = csr_read(sie);

	csr_write(sie, BIT(IRQ_SOFTWARE));
	__asm__ volatile("wfi" : : : "memory");
	/* Before trap_ipi(): who waits there by arch_relax() needs the timer's. */
	csr_write(sie, enabled);
	if (csr_read(sip) & BIT(IRQ_SOFTWARE))
		take_ipi();
}

static void interrupt(u64 irq)
{
	event(EVENT_INTERRUPT, irq, this_cpu()->number);
	kernel_lock(LOCK_AGAIN);
	if (irq == IRQ_EXTERNAL) {
		plic_interrupt();
		return;
	}
	if (irq == IRQ_SOFTWARE) {
		take_ipi();
		return;
	}
	trap_timer();
	/* The timer's interrupt is pending until its time is in the future. */
	if (this_cpu()->programmed == NEVER)
		arch_timer_set(NEVER);
}

/* Is there a translation for addr? The CPU does not report it. */
static bool present(struct thread *t, u64 addr)
{
	int level;

	return !t->vcpu && addr < ARCH_USER_TOP && table_lookup(t->vspace->root, addr, &level);
}

static void kernel_trap(u64 cause)
{
	if (is_stack_overflow(csr_read(stval)))
		panic("kernel stack overflow at %p", (void *)csr_read(sepc));
	panic("cause %lx in the kernel at %p: stval %p", cause, (void *)csr_read(sepc), (void *)csr_read(stval));
}

struct l4_vcpu_page *riscv_trap(u64 cause)
{
	struct thread *t = this_cpu()->current;
	u64 addr = csr_read(stval);

	if (unlikely(csr_read(sstatus) & SSTATUS_SPP))
		kernel_trap(cause);
	switch (cause) {
	case CAUSE_INTERRUPT | IRQ_SOFTWARE:
	case CAUSE_INTERRUPT | IRQ_TIMER:
	case CAUSE_INTERRUPT | IRQ_EXTERNAL:
		interrupt(cause & ~CAUSE_INTERRUPT);
		return trap_exit_by(NULL);
	case CAUSE_FETCH_FAULT:
		return trap_page_fault(t, addr, L4_RIGHT_EXEC, present(t, addr));
	case CAUSE_LOAD_FAULT:
		return trap_page_fault(t, addr, L4_RIGHT_READ, present(t, addr));
	case CAUSE_STORE_FAULT:
		return trap_page_fault(t, addr, L4_RIGHT_WRITE, present(t, addr));
	case CAUSE_ILLEGAL:
		if (fpu_trap(t))
			return NULL;
	}
	return trap_exception(t, cause, 0, addr);
}

/* After WFI, which may end without an interrupt. */
void riscv_wake(void)
{
	u64 bits = interrupts_pending();

	if (bits)
		interrupt(__builtin_ctzl(bits));
	else
		kernel_lock(LOCK_AGAIN);
	trap_exit();
	arch_return_to_user();
}
