// SPDX-License-Identifier: GPL-2.0-only
/* What entry.S calls. */
#include <kernel/debug.h>
#include <kernel/entry.h>
#include <kernel/irq.h>
#include <kernel/mode.h>
#include <devicetree.h>
#include "arm.h"

/* Exception classes (D17.2.37). */
#define EC_FP        0x07
#define EC_FETCH     0x20
#define EC_FETCH_EL1 0x21
#define EC_PC        0x22
#define EC_DATA      0x24
#define EC_DATA_EL1  0x25

/* Of a data abort: cache maintenance, which is no write whatever WNR says; write. */
#define ISS_CM  BIT(8)
#define ISS_WNR BIT(6)
/* Fault status without its level: address size, translation, access flag, permission. */
#define FSC(esr)       ((esr) >> 2 & 15)
#define FSC_PERMISSION 3

void arm_syscall(struct cpu *cpu) { trap_syscall(cpu->current); }

struct l4_vcpu_page *arm_vcpu_enter(struct cpu *cpu, u64 slot) { return trap_vcpu_enter(cpu, slot); }

struct l4_vcpu_page *arm_guest_syscall(struct cpu *cpu) { return vcpu_syscall(cpu->current); }

/* Another interrupt may be active: that of a CPU comes before it. */
void arch_lock_sleep(void)
{
	u32 taken;

	gic_only_ipi(true);
	dsb(sy);
	__asm__ volatile("wfi" : : : "memory");
	taken = gic_take();
	if (GIC_ID(taken) == GIC_IPI) {
		gic_end(taken);
		dsb(ish);
		trap_ipi();
	}
	gic_only_ipi(false);
}

static void interrupt(void)
{
	u32 taken = gic_take(), id = GIC_ID(taken);

	event(EVENT_INTERRUPT, id, this_cpu()->number);
	if (id == GIC_IPI) {
		/*
		 * Over before its sender's orders are looked for: one that comes later interrupts again. And before
		 * this CPU may sleep at the lock, where another is to wake it.
		 */
		gic_end(taken);
		dsb(ish);
		kernel_lock(LOCK_AGAIN);
		trap_ipi();
		return;
	}
	kernel_lock(LOCK_AGAIN);
	if (id == timer_id) {
		/* The line is up until the timer is off, or set to later. */
		write_sysreg(0, cntv_ctl_el0);
		isb();
		trap_timer();
	} else if (id < IRQ_MAX) {
		irq_deliver(id);
	}
	if (id < GIC_NONE)
		gic_end(taken);
}

struct l4_vcpu_page *arm_irq(void)
{
	interrupt();
	return trap_exit_by(NULL);
}

/* After WFI, which may end without an interrupt. */
void arm_wake(void)
{
	interrupt();
	trap_exit();
}

struct l4_vcpu_page *arm_trap(u64 esr, u64 far)
{
	struct thread *t = this_cpu()->current;
	u32 ec = esr >> 26 & 63;

	if (ec == EC_FP) {
		fpu_trap(t);
		return NULL;
	}
	if ((ec == EC_DATA || ec == EC_FETCH) && FSC(esr) <= FSC_PERMISSION) {
		u32 access = ec == EC_FETCH                          ? L4_RIGHT_EXEC
		             : (esr & (ISS_WNR | ISS_CM)) == ISS_WNR ? L4_RIGHT_WRITE
		                                                     : L4_RIGHT_READ;

		return trap_page_fault(t, far, access, FSC(esr) == FSC_PERMISSION);
	}
	return trap_exception(t, ec, esr, ec == EC_DATA || ec == EC_FETCH || ec == EC_PC ? far : 0);
}

void arm_kernel_trap(u64 esr, u64 elr, u64 far, u64 sp)
{
	if (far - ((u64)this_cpu() - KERNEL_STACK - KERNEL_GUARD) < KERNEL_GUARD)
		panic("kernel stack overflow at %p sp %p", (void *)elr, (void *)sp);
	panic("exception in the kernel: esr %lx pc %p sp %p far %p", esr, (void *)elr, (void *)sp, (void *)far);
}
