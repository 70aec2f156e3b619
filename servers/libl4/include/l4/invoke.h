/* SPDX-License-Identifier: BSD-2-Clause */
/* One function for every invocation of abi.yaml, arguments in its order. */
#ifndef L4_INVOKE_H
#define L4_INVOKE_H

#include <l4/syscall.h>

struct l4_untyped_info {
	unsigned long paddr, size_bits, free_bytes, kind;
};

struct l4_frame_info {
	unsigned long paddr, size_bits;
};

struct l4_sched_context_info {
	unsigned long used, waits;
};

struct l4_vspace_info {
	unsigned long pool_pages, pool_free;
};

static inline unsigned long l4_untyped_retype(unsigned long untyped, unsigned long type, unsigned long size_bits,
                                              unsigned long cnode, unsigned long index, unsigned long count)
{
	return l4_invoke(untyped, L4_UNTYPED_RETYPE, type, size_bits, cnode, index, count, 0, NULL);
}

static inline unsigned long l4_untyped_info(unsigned long untyped, struct l4_untyped_info *info)
{
	unsigned long result[L4_MSG_REG_WORDS];
	unsigned long error = l4_invoke(untyped, L4_UNTYPED_INFO, 0, 0, 0, 0, 0, 0, result);

	*info = (struct l4_untyped_info){ result[0], result[1], result[2], result[3] };
	return error;
}

static inline unsigned long l4_cnode_copy(unsigned long cnode, unsigned long index, unsigned long src_cnode,
                                          unsigned long src_index, unsigned long rights)
{
	return l4_invoke(cnode, L4_CNODE_COPY, index, src_cnode, src_index, rights, 0, 0, NULL);
}

static inline unsigned long l4_cnode_mint(unsigned long cnode, unsigned long index, unsigned long src_cnode,
                                          unsigned long src_index, unsigned long rights, unsigned long badge)
{
	return l4_invoke(cnode, L4_CNODE_MINT, index, src_cnode, src_index, rights, badge, 0, NULL);
}

static inline unsigned long l4_cnode_move(unsigned long cnode, unsigned long index, unsigned long src_cnode,
                                          unsigned long src_index)
{
	return l4_invoke(cnode, L4_CNODE_MOVE, index, src_cnode, src_index, 0, 0, 0, NULL);
}

static inline unsigned long l4_cnode_delete(unsigned long cnode, unsigned long index)
{
	return l4_invoke(cnode, L4_CNODE_DELETE, index, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_cnode_revoke(unsigned long cnode, unsigned long index)
{
	return l4_invoke(cnode, L4_CNODE_REVOKE, index, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_thread_configure(unsigned long thread, unsigned long cnode, unsigned long vspace,
                                                unsigned long utcb_vaddr, unsigned long fault)
{
	return l4_invoke(thread, L4_THREAD_CONFIGURE, cnode, vspace, utcb_vaddr, fault, 0, 0, NULL);
}

static inline unsigned long l4_thread_set_sched(unsigned long thread, unsigned long sched, unsigned long priority,
                                                unsigned long max_priority)
{
	return l4_invoke(thread, L4_THREAD_SET_SCHED, sched, priority, max_priority, 0, 0, 0, NULL);
}

/* Registers travel in utcb->mr[8...] of the caller. */
static inline unsigned long l4_thread_write_regs(unsigned long thread, struct l4_utcb *utcb,
                                                 const struct l4_frame *frame)
{
	const unsigned long *from = (const unsigned long *)frame;
	unsigned long i;

	for (i = 0; i < sizeof(*frame) / 8; i++)
		utcb->mr[8 + i] = from[i];
	return l4_invoke(thread, L4_THREAD_WRITE_REGS, 0, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_thread_read_regs(unsigned long thread, struct l4_utcb *utcb, struct l4_frame *frame)
{
	unsigned long error = l4_invoke(thread, L4_THREAD_READ_REGS, 0, 0, 0, 0, 0, 0, NULL);
	unsigned long *to = (unsigned long *)frame;
	unsigned long i;

	for (i = 0; i < sizeof(*frame) / 8; i++)
		to[i] = utcb->mr[8 + i];
	return error;
}

static inline unsigned long l4_thread_resume(unsigned long thread)
{
	return l4_invoke(thread, L4_THREAD_RESUME, 0, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_thread_suspend(unsigned long thread)
{
	return l4_invoke(thread, L4_THREAD_SUSPEND, 0, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_thread_bind_notification(unsigned long thread, unsigned long notification)
{
	return l4_invoke(thread, L4_THREAD_BIND_NOTIFICATION, notification, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_thread_bind_vcpu(unsigned long thread, unsigned long vcpu, unsigned long vaddr)
{
	return l4_invoke(thread, L4_THREAD_BIND_VCPU, vcpu, vaddr, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_vspace_map(unsigned long vspace, unsigned long frame, unsigned long vaddr,
                                          unsigned long rights, unsigned long uncached)
{
	return l4_invoke(vspace, L4_VSPACE_MAP, frame, vaddr, rights, uncached, 0, 0, NULL);
}

static inline unsigned long l4_vspace_attach(unsigned long vspace, unsigned long frame, unsigned long gpa)
{
	return l4_invoke(vspace, L4_VSPACE_ATTACH, frame, gpa, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_vspace_info(unsigned long vspace, struct l4_vspace_info *info)
{
	unsigned long result[L4_MSG_REG_WORDS];
	unsigned long error = l4_invoke(vspace, L4_VSPACE_INFO, 0, 0, 0, 0, 0, 0, result);

	*info = (struct l4_vspace_info){ result[0], result[1] };
	return error;
}

static inline unsigned long l4_frame_unmap(unsigned long frame)
{
	return l4_invoke(frame, L4_FRAME_UNMAP, 0, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_frame_info(unsigned long frame, struct l4_frame_info *info)
{
	unsigned long result[L4_MSG_REG_WORDS];
	unsigned long error = l4_invoke(frame, L4_FRAME_INFO, 0, 0, 0, 0, 0, 0, result);

	*info = (struct l4_frame_info){ result[0], result[1] };
	return error;
}

static inline unsigned long l4_sched_context_info(unsigned long sched, struct l4_sched_context_info *info)
{
	unsigned long result[L4_MSG_REG_WORDS];
	unsigned long error = l4_invoke(sched, L4_SCHED_CONTEXT_INFO, 0, 0, 0, 0, 0, 0, result);

	*info = (struct l4_sched_context_info){ result[0], result[1] };
	return error;
}

static inline unsigned long l4_irq_handler_bind(unsigned long irq, unsigned long notification)
{
	return l4_invoke(irq, L4_IRQ_HANDLER_BIND, notification, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_irq_handler_ack(unsigned long irq)
{
	return l4_invoke(irq, L4_IRQ_HANDLER_ACK, 0, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_irq_handler_unbind(unsigned long irq)
{
	return l4_invoke(irq, L4_IRQ_HANDLER_UNBIND, 0, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_ioport_in(unsigned long ioport, unsigned long port, unsigned long width,
                                         unsigned long *value)
{
	unsigned long result[L4_MSG_REG_WORDS];
	unsigned long error = l4_invoke(ioport, L4_IOPORT_IN, port, width, 0, 0, 0, 0, result);

	*value = result[0];
	return error;
}

static inline unsigned long l4_ioport_out(unsigned long ioport, unsigned long port, unsigned long width,
                                          unsigned long value)
{
	return l4_invoke(ioport, L4_IOPORT_OUT, port, width, value, 0, 0, 0, NULL);
}

static inline unsigned long l4_guestspace_configure(unsigned long guestspace, unsigned long vspace)
{
	return l4_invoke(guestspace, L4_GUESTSPACE_CONFIGURE, vspace, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_guestspace_set_root(unsigned long guestspace, unsigned long gpa)
{
	return l4_invoke(guestspace, L4_GUESTSPACE_SET_ROOT, gpa, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_guestspace_flush(unsigned long guestspace, unsigned long start, unsigned long end)
{
	return l4_invoke(guestspace, L4_GUESTSPACE_FLUSH, start, end, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_control_sched_configure(unsigned long control, unsigned long sched,
                                                       unsigned long budget_us, unsigned long period_us)
{
	return l4_invoke(control, L4_CONTROL_SCHED_CONFIGURE, sched, budget_us, period_us, 0, 0, 0, NULL);
}

static inline unsigned long l4_control_irq_line(unsigned long control, unsigned long line, unsigned long trigger_level,
                                                unsigned long cnode, unsigned long index)
{
	return l4_invoke(control, L4_CONTROL_IRQ_LINE, line, trigger_level, cnode, index, 0, 0, NULL);
}

static inline unsigned long l4_control_irq_msi(unsigned long control, unsigned long cnode, unsigned long index,
                                               unsigned long *address, unsigned long *data)
{
	unsigned long result[L4_MSG_REG_WORDS];
	unsigned long error = l4_invoke(control, L4_CONTROL_IRQ_MSI, cnode, index, 0, 0, 0, 0, result);

	*address = result[0];
	*data = result[1];
	return error;
}

static inline unsigned long l4_control_log_bind(unsigned long control, unsigned long notification)
{
	return l4_invoke(control, L4_CONTROL_LOG_BIND, notification, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_control_power_off(unsigned long control, unsigned long status)
{
	return l4_invoke(control, L4_CONTROL_POWER_OFF, status, 0, 0, 0, 0, 0, NULL);
}

static inline unsigned long l4_control_restart(unsigned long control)
{
	return l4_invoke(control, L4_CONTROL_RESTART, 0, 0, 0, 0, 0, 0, NULL);
}

#endif
