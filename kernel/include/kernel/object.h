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
 */
#ifndef KERNEL_OBJECT_H
#define KERNEL_OBJECT_H

#include <kernel/list.h>

struct object {
	u8 type;
	u8 size_bits;
	u16 reserved;
	u32 refs;
};

enum frame_use { FRAME_UNUSED, FRAME_MAPPED, FRAME_ATTACHED };

struct slot {
	u8 type;		/* L4_TYPE_* */
	u8 rights;
	u8 size_bits;
	u8 kind : 4;		/* L4_MEM_*, of Untyped and Frame */
	u8 use : 4;		/* enum frame_use */
	u32 depth;
	u64 object;		/* struct object *, or physical address, or IRQ number */
	u64 badge;		/* badge; Untyped: bytes used; Frame: where mapped; IoPort: first | last << 16 */
	struct slot *prev, *next;
	union {
		struct {	/* Frame, while in use */
			struct vspace *vspace;
			struct list in_vspace;
		};
		struct {	/* Untyped */
			u64 clean;	/* bytes [used, clean) are known to be zero */
		};
	};
};
_Static_assert(sizeof(struct slot) == 1 << L4_CNODE_SLOT_BITS, "slot size");

struct cnode {
	struct object obj;
	u64 slots_mask;		/* number of slots - 1 */
	struct list threads;	/* that use it as their CSpace */
	struct list zombie;	/* on the list of CNodes being emptied */
	u64 cursor;		/* of a zombie: next slot to empty */
};
/* Slot 0 of a CNode is never a capability: the object's own header takes its place. */
_Static_assert(sizeof(struct cnode) <= sizeof(struct slot), "cnode header");

#define SLOT_OBJECT(slot, kind) ((struct kind *)(slot)->object)

static inline struct slot *cnode_slot(struct cnode *c, u64 index)
{
	return index && index <= c->slots_mask ? (struct slot *)c + index : NULL;
}

void slot_insert_child(struct slot *parent, struct slot *child);
void slot_insert_sibling(struct slot *of, struct slot *s);
bool slot_has_derived(const struct slot *s);

/* Both may stop early with *again set when an interrupt is pending: call again to go on. */
error_t slot_revoke(struct slot *s, bool *again);
error_t slot_delete(struct slot *s, bool *again);

/* Empty a slot that is in no CNode, so that nothing is derived from it. */
void slot_drop(struct slot *s);

/* Copy src's capability into the empty slot dst, as a derived (child) or an equal capability. */
void slot_copy(struct slot *dst, struct slot *src, u8 rights, u64 badge, bool child);

struct invocation {
	struct thread *caller;
	struct slot *slot;
	u64 op;
	u64 arg[6];
	u64 result[6];
	bool again;	/* not finished: repeat the system call */
};

error_t untyped_invoke(struct invocation *i);
error_t cnode_invoke(struct invocation *i);
error_t thread_invoke(struct invocation *i);
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

/* The last capability has gone. */
void cnode_destroy(struct object *o);
void thread_destroy(struct object *o);
void sched_context_destroy(struct object *o);
void endpoint_destroy(struct object *o);
void reply_destroy(struct object *o);
void notification_destroy(struct object *o);
void vspace_destroy(struct object *o);
void vcpu_destroy(struct object *o);
void guestspace_destroy(struct object *o);
void frame_release(struct slot *s);
void irq_release(u64 irq);

#endif
