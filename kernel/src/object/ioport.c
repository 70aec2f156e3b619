// SPDX-License-Identifier: GPL-2.0-only
/* IoPort: a range of I/O ports. CPUs without I/O ports (ARCH_IOPORTS is 0) have no such capability. */
#include <kernel/cpu.h>
#include <kernel/object.h>

error_t ioport_invoke(struct invocation *i)
{
	/* IN's arguments are the first ones of OUT. */
	u64 port = i->arg.ioport_out.port, width = i->arg.ioport_out.width;
	const struct slot *s = i->slot;

	if (!ARCH_IOPORTS || i->op > L4_IOPORT_OUT)
		return L4_ERR_OP;
	if (!(s->rights & (i->op == L4_IOPORT_IN ? L4_RIGHT_READ : L4_RIGHT_WRITE)))
		return L4_ERR_RIGHTS;
	if (width != 1 && width != 2 && width != 4)
		return L4_ERR_ARG;
	if (port < s->ports.first || port > s->ports.last || width - 1 > s->ports.last - port)
		return L4_ERR_RANGE;
	if (i->op == L4_IOPORT_IN)
		i->result.ioport_in.value = arch_port_in(port, width);
	else
		arch_port_out(port, width, i->arg.ioport_out.value);
	return L4_ERR_OK;
}
