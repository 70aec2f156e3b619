// SPDX-License-Identifier: GPL-2.0-only
/*
 * Dispatch by the type of a capability, from the rows of object.h, and by what a held slot is for. By switch, and not
 * by tables of functions: L4 has no indirect branch (docs/architecture.md, "CPU hardening"). Files below call the
 * objects above them through this file only.
 */
#include <kernel/cap.h>
#include <kernel/debug.h>
#include <kernel/frame.h>
#include <kernel/guestspace.h>
#include <kernel/irq.h>
#include <kernel/lifetime.h>
#include <kernel/log.h>

#define X(type, min, max, flags, init, destroy, invoke) [L4_TYPE_##type] = { min, max },
const struct type_sizes type_sizes[OBJECT_TYPE_COUNT] = { OBJECT_TYPES(X) };
#undef X

/* For the types without a function of that kind. */
void no_init(struct object *o) { assert(!"object in memory"); }

bool no_destroy(struct object *o)
{
	assert(!"object in memory");
	return true;
}

error_t no_invoke(struct invocation *i) { return L4_ERR_OP; }

/* Any type but those of the rows is a bug of the kernel; it has no flags. */
static inline u32 flags_of(u8 type)
{
	switch (type) {
#define X(type, min, max, flags, init, destroy, invoke) \
	case L4_TYPE_##type:                            \
		return flags;
		OBJECT_TYPES(X)
#undef X
	default:
		return 0;
	}
}

bool type_has_object(u8 type) { return flags_of(type) & TYPE_OBJECT; }
bool type_is_slow(u8 type) { return flags_of(type) & TYPE_SLOW; }
bool type_is_deferred(u8 type) { return flags_of(type) & TYPE_DEFER; }

void object_init(struct object *o)
{
	switch (o->type) {
#define X(type, min, max, flags, init, destroy, invoke) \
	case L4_TYPE_##type:                            \
		return init(o);
		OBJECT_TYPES(X)
#undef X
	}
}

bool object_destroy(struct object *o)
{
	switch (o->type) {
#define X(type, min, max, flags, init, destroy, invoke) \
	case L4_TYPE_##type:                            \
		return destroy(o);
		OBJECT_TYPES(X)
#undef X
	}
	return true;
}

error_t object_invoke(struct invocation *i)
{
	switch (i->slot->type) {
#define X(type, min, max, flags, init, destroy, invoke) \
	case L4_TYPE_##type:                            \
		return invoke(i);
		OBJECT_TYPES(X)
#undef X
	}
	return L4_ERR_OP;
}

/*
 * Others change nothing that another CPU uses without the lock, or stop those that use it (cpus_stop_users()), or take the
 * one thread away that they change (sched_take_away()).
 */
__cold bool invocation_stops_all(u8 type, u64 op)
{
	switch (type) {
	case L4_TYPE_CNODE:
		return op != L4_CNODE_COPY && op != L4_CNODE_MINT;
	case L4_TYPE_THREAD:
		return op == L4_THREAD_CONFIGURE || op == L4_THREAD_BIND_VCPU || op == L4_THREAD_BIND_NOTIFICATION;
	case L4_TYPE_CONTROL:
		return op != L4_CONTROL_SCHED_CONFIGURE;
	default:
		return false;
	}
}

bool object_step_is_slow(struct object *o)
{
	return o->type == L4_TYPE_CNODE ? cnode_step_is_slow((struct cnode *)o) : o->type == L4_TYPE_VSPACE;
}

void capability_copied(struct slot *s)
{
	if (type_has_object(s->type))
		SLOT_OBJECT(s, object)->refs++;
	else if (s->type == L4_TYPE_IRQ_HANDLER)
		irq_hold(s->object);
}

bool capability_release(struct slot *s, struct work *work)
{
	return s->type != L4_TYPE_FRAME || frame_release(s, work);
}

void capability_moved(struct slot *from, struct slot *to)
{
	if (to->type == L4_TYPE_FRAME)
		frame_moved(from, to);
	else if (to->type == L4_TYPE_GUESTSPACE)
		guestspace_forget(SLOT_OBJECT(to, guestspace));
}

void capability_dropped(u8 type, u64 object)
{
	if (type == L4_TYPE_IRQ_HANDLER) {
		irq_release(object);
	} else if (type_has_object(type)) {
		if (type == L4_TYPE_GUESTSPACE)
			guestspace_forget((struct guestspace *)object);
		object_unref((struct object *)object);
	}
}

bool capability_is_slow(const struct slot *s) { return type_is_slow(s->type) || (s->type == L4_TYPE_FRAME && s->use); }

void capability_lost(struct slot *held, enum slot_use use, u64 object)
{
	switch (use) {
	case SLOT_UNUSED:
	case FRAME_MAPPED:
	case FRAME_ATTACHED:
	case FRAME_DETACHING:
		break;
	case HELD_SPACE:
		guestspace_lost(held);
		break;
	case HELD_IRQ:
		irq_lost(held);
		break;
	case HELD_LOG:
		log_lost();
		break;
	default:
		thread_lost(held, use, object);
	}
}

bool capability_carries_caller(const struct slot *s)
{
	const struct thread *t = this_cpu()->current;

	return s == &t->cnode_slot || s == &t->vspace_slot ||
	       (s->type == L4_TYPE_THREAD && SLOT_OBJECT(s, thread) == t && t->obj.refs == 1);
}
