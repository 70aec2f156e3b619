// SPDX-License-Identifier: GPL-2.0-only
/* Control: operations on the machine that only the root pager may do. */
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/firmware.h>
#include <kernel/irq.h>
#include <kernel/irqchip.h>
#include <kernel/lock.h>
#include <kernel/log.h>
#include <kernel/sched_context.h>

static error_t sched_configure(struct invocation *i)
{
	struct slot *cap;
	u64 budget = i->arg.control_sched_configure.budget_us, period = i->arg.control_sched_configure.period_us,
	    cpu = i->arg.control_sched_configure.cpu;

	if (budget < L4_BUDGET_MIN_US || period > L4_BUDGET_MAX_US || budget > period || cpu >= cpu_count)
		return L4_ERR_RANGE;

	error_t error =
		cap_lookup_type(i->caller, i->arg.control_sched_configure.sched_cap, L4_TYPE_SCHED_CONTEXT, 0, &cap);

	return error ? error
	             : sched_context_configure(SLOT_OBJECT(cap, sched_context), budget, period,
	                                       cpus[index_nospec(cpu, cpu_count)]);
}

static error_t irq_line(struct invocation *i)
{
	struct slot *dst;
	u64 line = i->arg.control_irq_line.line, trigger_level = i->arg.control_irq_line.trigger_level, irq;
	error_t error = irqchip_line(line, trigger_level, &irq);

	if (error)
		return error;
	error = cap_destination(i, i->arg.control_irq_line.cnode_cap, i->arg.control_irq_line.index, &dst);
	if (error)
		return error;
	if (irq_taken(irq))
		return L4_ERR_BUSY;
	irq_create(irq, line, trigger_level, false, i->slot, dst);
	return L4_ERR_OK;
}

static error_t irq_msi(struct invocation *i)
{
	struct slot *dst;
	error_t error = cap_destination(i, i->arg.control_irq_msi.cnode_cap, i->arg.control_irq_msi.index, &dst);

	if (error)
		return error;
	for (u64 irq = irqchip_msi_first(); irq <= irqchip_msi_last(); irq++) {
		if (irq_taken(irq))
			continue;
		error = irqchip_msi(irq, cpus[0], &i->result.control_irq_msi.address, &i->result.control_irq_msi.data);
		if (!error)
			irq_create(irq, 0, false, true, i->slot, dst);
		return error;
	}
	return L4_ERR_MEMORY;
}

static error_t bind_log(struct invocation *i)
{
	struct slot *cap;

	if (!i->arg.control_log_bind.notification_cap) {
		log_bind(NULL);
		return L4_ERR_OK;
	}

	error_t error = cap_lookup_type(i->caller, i->arg.control_log_bind.notification_cap, L4_TYPE_NOTIFICATION,
	                                L4_RIGHT_WRITE, &cap);

	if (!error)
		log_bind(cap);
	return error;
}

error_t control_invoke(struct invocation *i)
{
	if (i->op > L4_CONTROL_RESTART)
		return L4_ERR_OP;
	if (!(i->slot->rights & L4_RIGHT_WRITE))
		return L4_ERR_RIGHTS;
	switch (i->op) {
	case L4_CONTROL_SCHED_CONFIGURE:
		return sched_configure(i);
	case L4_CONTROL_IRQ_LINE:
		return irq_line(i);
	case L4_CONTROL_IRQ_MSI:
		return irq_msi(i);
	case L4_CONTROL_LOG_BIND:
		return bind_log(i);
	case L4_CONTROL_POWER_OFF:
		printk("l4: power off, status %lu\n", i->arg.control_power_off.status);
		firmware_power_off();
		return L4_ERR_STATE;
	default:
		printk("l4: restart\n");
		firmware_restart();
		return L4_ERR_STATE;
	}
}
