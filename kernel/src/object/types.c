// SPDX-License-Identifier: GPL-2.0-only
/*
 * What differs by the type of a capability. By switch, and not by tables of functions: L4 has no indirect branch
 * (docs/architecture.md, "CPU hardening").
 */
#include <kernel/debug.h>
#include <kernel/object.h>

bool type_has_object(u8 type)
{
	switch (type) {
	case L4_TYPE_CNODE:
	case L4_TYPE_THREAD:
	case L4_TYPE_SCHED_CONTEXT:
	case L4_TYPE_ENDPOINT:
	case L4_TYPE_REPLY:
	case L4_TYPE_NOTIFICATION:
	case L4_TYPE_VSPACE:
	case L4_TYPE_VCPU:
	case L4_TYPE_GUESTSPACE:
		return true;
	default:
		return false;
	}
}

void object_init(struct object *o)
{
	switch (o->type) {
	case L4_TYPE_CNODE:
		return cnode_init(o, o->size_bits);
	case L4_TYPE_THREAD:
		return thread_init(o, o->size_bits);
	case L4_TYPE_SCHED_CONTEXT:
		return sched_context_init(o, o->size_bits);
	case L4_TYPE_ENDPOINT:
		return endpoint_init(o, o->size_bits);
	case L4_TYPE_REPLY:
		return reply_init(o, o->size_bits);
	case L4_TYPE_NOTIFICATION:
		return notification_init(o, o->size_bits);
	case L4_TYPE_VSPACE:
		return vspace_init(o, o->size_bits);
	case L4_TYPE_VCPU:
		return vcpu_init(o, o->size_bits);
	default:
		assert(o->type == L4_TYPE_GUESTSPACE);
		return guestspace_init(o, o->size_bits);
	}
}

bool object_destroy(struct object *o)
{
	switch (o->type) {
	case L4_TYPE_CNODE:
		return cnode_destroy(o);
	case L4_TYPE_ENDPOINT:
		return endpoint_destroy(o);
	case L4_TYPE_NOTIFICATION:
		return notification_destroy(o);
	case L4_TYPE_VSPACE:
		return vspace_destroy(o);
	case L4_TYPE_THREAD:
		thread_destroy(o);
		return true;
	case L4_TYPE_SCHED_CONTEXT:
		sched_context_destroy(o);
		return true;
	case L4_TYPE_REPLY:
		reply_destroy(o);
		return true;
	case L4_TYPE_VCPU:
		vcpu_destroy(o);
		return true;
	default:
		assert(o->type == L4_TYPE_GUESTSPACE);
		guestspace_destroy(o);
		return true;
	}
}

error_t object_invoke(struct invocation *i)
{
	switch (i->slot->type) {
	case L4_TYPE_UNTYPED:
		return untyped_invoke(i);
	case L4_TYPE_CNODE:
		return cnode_invoke(i);
	case L4_TYPE_THREAD:
		return thread_invoke(i);
	case L4_TYPE_SCHED_CONTEXT:
		return sched_context_invoke(i);
	case L4_TYPE_VSPACE:
		return vspace_invoke(i);
	case L4_TYPE_FRAME:
		return frame_invoke(i);
	case L4_TYPE_GUESTSPACE:
		return guestspace_invoke(i);
	case L4_TYPE_IRQ_HANDLER:
		return irq_invoke(i);
	case L4_TYPE_IOPORT:
		return arch_ioport_invoke(i);
	case L4_TYPE_CONTROL:
		return control_invoke(i);
	default:
		return L4_ERR_OP;
	}
}
