/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capabilities and kernel objects.
 *
 * A capability lives in a slot. Slots of all CNodes form one list in pre-order of derivation: what was
 * derived from a slot follows it directly, with a larger depth (as in seL4's mapping database). So revoke
 * is "delete while the next slot is deeper", and needs no recursion and no memory.
 *
 * Untyped and Frame have no object in memory: all their state is in the slot. Every other object starts
 * with struct object; refs counts the slots that name it, and at 0 the object is destroyed.
 *
 * What a capability is configured into (a thread's CNode, an interrupt's Notification) keeps a derived capability of
 * its own, a held slot outside of all CNodes. So a revoke ends what was configured, and an object that is in use is
 * never destroyed.
 */
#ifndef KERNEL_OBJECT_H
#define KERNEL_OBJECT_H

#include <kernel/list.h>

struct object {
	u8 type;
	u8 size_bits;
	u16 reserved;
	u32 refs;
	struct object *next_zombie; /* of those whose destruction is not finished: see slot.c */
};

enum slot_use {
	SLOT_UNUSED,
	FRAME_MAPPED, /* Frame */
	FRAME_ATTACHED,
	FRAME_DETACHING,
	HELD_CNODE, /* held slots: by a thread */
	HELD_VSPACE,
	HELD_SCHED,
	HELD_FAULT,
	HELD_BOUND,
	HELD_VCPU,
	HELD_SEND,
	HELD_SPACE, /* by a GuestSpace: its VSpace */
	HELD_IRQ,
	HELD_LOG,
};

struct work;

struct slot {
	u8 type; /* L4_TYPE_* */
	u8 rights;
	u8 size_bits;
	u8 kind : 4; /* L4_MEM_*, of Untyped and Frame */
	u8 use : 4;  /* enum slot_use */
	u32 depth;
	u64 object; /* struct object *, or physical address, or IRQ number */
	u64 badge;  /* badge; Untyped: bytes used; Frame: where mapped; IoPort: first | last << 16 */
	struct slot *prev, *next;
	union {
		struct { /* Frame, while in use */
			struct vspace *vspace;
			struct list in_vspace;
		};
		struct {           /* Untyped */
			u64 clean; /* bytes [used, clean) are known to be zero */
		};
	};
};
_Static_assert(sizeof(struct slot) == 1 << L4_CNODE_SLOT_BITS, "slot size");

struct cnode {
	struct object obj;
	u64 slots_mask; /* number of slots - 1 */
	u64 cursor;     /* while it is destroyed: next slot to empty */
};
/* Slot 0 of a CNode is never a capability: the object's own header takes its place. */
_Static_assert(sizeof(struct cnode) <= sizeof(struct slot), "cnode header");

#define SLOT_OBJECT(slot, kind) ((struct kind *)(slot)->object)

/* The mask is for guesses of the CPU, as index_nospec. */
static inline struct slot *cnode_slot(struct cnode *c, u64 index)
{
	return index && index <= c->slots_mask ? (struct slot *)c + (index & c->slots_mask) : NULL;
}

void slot_insert_child(struct slot *parent, struct slot *child);
void slot_insert_sibling(struct slot *of, struct slot *s);
bool slot_has_derived(const struct slot *s);

/* Both may stop early with *again set when an interrupt is pending: call again to go on. */
error_t slot_revoke(struct slot *s, bool *again);
error_t slot_delete(struct slot *s, bool *again);

/* Delete a capability, or one that is derived from it if there is any. */
void slot_take(struct slot *s);

/* Finish the destruction of all objects without a capability; as above. */
error_t slot_reap(bool *again);

/*
 * A held slot: take a capability derived from cap, and give it up (no effect if empty). The holder is told when it is
 * revoked instead, see delete_leaf().
 */
void slot_hold(struct slot *held, struct slot *cap, enum slot_use use);
void slot_drop(struct slot *held);

/* Copy src's capability into the empty slot dst, as a derived (child) or an equal capability. */
void slot_copy(struct slot *dst, struct slot *src, u8 rights, u64 badge, bool child);

struct invocation {
	struct thread *caller;
	struct slot *slot;
	u64 op;
	u64 arg[6];
	u64 result[6];
	bool again; /* not finished: repeat the system call */
};

/* types.c: by type. Of an object, type and size are set; object_destroy does a step, and returns true after the last. */
bool type_has_object(u8 type);
void object_init(struct object *o);
bool object_destroy(struct object *o);
error_t object_invoke(struct invocation *i);

error_t untyped_invoke(struct invocation *i);
error_t cnode_invoke(struct invocation *i);
error_t thread_invoke(struct invocation *i);
error_t sched_context_invoke(struct invocation *i);
error_t vspace_invoke(struct invocation *i);
error_t frame_invoke(struct invocation *i);
error_t irq_invoke(struct invocation *i);
error_t guestspace_invoke(struct invocation *i);
error_t control_invoke(struct invocation *i);
error_t arch_ioport_invoke(struct invocation *i);

/* Called with memory that is zero; refs is set by the caller. */
void cnode_init(void *memory, u8 size_bits);
void thread_init(void *memory, u8 size_bits);
void sched_context_init(void *memory, u8 size_bits);
void endpoint_init(void *memory, u8 size_bits);
void reply_init(void *memory, u8 size_bits);
void notification_init(void *memory, u8 size_bits);
void vspace_init(void *memory, u8 size_bits);
void vcpu_init(void *memory, u8 size_bits);
void guestspace_init(void *memory, u8 size_bits);

/* The last capability has gone. Those that return bool do a bounded part of it, and return true when all is done. */
bool cnode_destroy(struct object *o);
bool endpoint_destroy(struct object *o);
bool notification_destroy(struct object *o);
bool vspace_destroy(struct object *o);
void thread_destroy(struct object *o);
void sched_context_destroy(struct object *o);
void reply_destroy(struct object *o);
void vcpu_destroy(struct object *o);
void guestspace_destroy(struct object *o);
bool frame_release(struct slot *s, struct work *work);
void irq_release(u64 irq);

/* A held slot, empty now, was revoked: end what object was used for. */
void thread_lost(struct slot *held, enum slot_use use, u64 object);
void guestspace_lost(struct slot *held);
void irq_lost(struct slot *held);
void log_lost(void);

#endif
