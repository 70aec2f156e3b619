/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Kernel objects, by type: one row for each type of capability (OBJECT_TYPES). Untyped, Frame, IrqHandler, IoPort and
 * Control have no object in memory: their state is in the slot or in a table. Every other object starts with struct
 * object; refs counts the slots that name it. At 0 the object is destroyed.
 */
#ifndef KERNEL_OBJECT_H
#define KERNEL_OBJECT_H

#include <abi_args.h>
#include <kernel/slot.h>

struct object {
	u8 type;
	u8 size_bits;
	u16 reserved;
	u32 refs;
	struct object *next_zombie; /* of those whose destruction is not finished: see lifetime.c */
};

struct invocation {
	struct thread *caller;
	struct slot *slot;
	u64 op;
	union l4_args arg;
	union l4_results result;
	bool again; /* not finished: repeat the system call */
};

enum type_flag {
	TYPE_OBJECT = 1, /* has an object in memory */
	TYPE_SLOW = 2,   /* deleting one capability may take long: look for an interrupt after each */
	TYPE_DEFER = 4,  /* destroyed by object_reap() only, so that deletion does not recurse */
};

/*
 * A row a type: its name; its smallest and largest size as powers of two (equal: it has one size; 0: RETYPE makes
 * none); flags; and functions:
 *   init     memory is zero but for type and size_bits; refs is set by the caller
 *   destroy  no capability is left; does a bounded step, and returns true after the last
 *   invoke   checks everything, then changes things
 */
// clang-format off
#define OBJECT_TYPES(X) \
	X(UNTYPED, L4_UNTYPED_MIN_BITS, L4_UNTYPED_MAX_BITS, 0, no_init, no_destroy, untyped_invoke) \
	X(CNODE, L4_CNODE_SLOT_BITS + 1, L4_CNODE_SLOT_BITS + 16, TYPE_OBJECT | TYPE_DEFER, \
	  cnode_init, cnode_destroy, cnode_invoke) \
	X(THREAD, L4_THREAD_BITS, L4_THREAD_BITS, TYPE_OBJECT, thread_init, thread_destroy, thread_invoke) \
	X(SCHED_CONTEXT, L4_SCHED_CONTEXT_BITS, L4_SCHED_CONTEXT_BITS, TYPE_OBJECT, \
	  sched_context_init, sched_context_destroy, sched_context_invoke) \
	X(ENDPOINT, L4_ENDPOINT_BITS, L4_ENDPOINT_BITS, TYPE_OBJECT, endpoint_init, endpoint_destroy, no_invoke) \
	X(REPLY, L4_REPLY_BITS, L4_REPLY_BITS, TYPE_OBJECT, reply_init, reply_destroy, no_invoke) \
	X(NOTIFICATION, L4_NOTIFICATION_BITS, L4_NOTIFICATION_BITS, TYPE_OBJECT, \
	  notification_init, notification_destroy, no_invoke) \
	X(VSPACE, L4_VSPACE_MIN_BITS, L4_VSPACE_MAX_BITS, TYPE_OBJECT | TYPE_SLOW, \
	  vspace_init, vspace_destroy, vspace_invoke) \
	X(FRAME, L4_PAGE_BITS, L4_FRAME_MAX_BITS, 0, no_init, no_destroy, frame_invoke) \
	X(VCPU, L4_VCPU_BITS, L4_VCPU_BITS, TYPE_OBJECT, vcpu_init, vcpu_destroy, no_invoke) \
	X(GUESTSPACE, L4_GUESTSPACE_BITS, L4_GUESTSPACE_BITS, TYPE_OBJECT | TYPE_SLOW, \
	  guestspace_init, guestspace_destroy, guestspace_invoke) \
	X(IRQ_HANDLER, 0, 0, 0, no_init, no_destroy, irq_handler_invoke) \
	X(IOPORT, 0, 0, 0, no_init, no_destroy, ioport_invoke) \
	X(CONTROL, 0, 0, 0, no_init, no_destroy, control_invoke)

#define X(type, min_bits, max_bits, flags, init, destroy, invoke) \
	void init(struct object *o); \
	bool destroy(struct object *o); \
	error_t invoke(struct invocation *i);
OBJECT_TYPES(X)
#undef X
// clang-format on

/* What the row of a type says. type is a capability's; RETYPE's comes from user mode and is checked by its caller. */
struct type_sizes {
	u8 min_bits, max_bits;
};
#define OBJECT_TYPE_COUNT (L4_TYPE_CONTROL + 1)
extern const struct type_sizes type_sizes[OBJECT_TYPE_COUNT];
bool type_has_object(u8 type);
bool type_is_slow(u8 type);
bool type_is_deferred(u8 type);

void object_init(struct object *o);
bool object_destroy(struct object *o);
bool object_step_is_slow(struct object *o); /* may the next step of its destruction take long? */
error_t object_invoke(struct invocation *i);
bool invocation_stops_all(u8 type, u64 op); /* must no other CPU run meanwhile? */

void capability_copied(struct slot *s);                     /* into s: its object has one more */
bool capability_release(struct slot *s, struct work *work); /* it is in use and will be deleted; false: preempted */
void capability_moved(struct slot *from, struct slot *to);  /* to has it now, from still has its old words */
void capability_dropped(u8 type, u64 object);               /* its slot was emptied: its object has one less */
bool capability_is_slow(const struct slot *s);              /* may deleting it take long? */

/* A held slot, empty now, was revoked: its holder ends what the object was used for. */
void capability_lost(struct slot *held, enum slot_use use, u64 object);

/* Would the calling thread have no thread, CNode or VSpace without this capability? */
bool capability_carries_caller(const struct slot *s);

#endif
