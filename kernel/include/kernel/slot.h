/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Capability slots. A capability lives in a slot; a CNode is a table of slots.
 *
 * Slots of all CNodes form one list in pre-order of derivation: what was derived from a slot follows it directly, with
 * a larger depth (as in seL4's mapping database). So revoke is "delete while the next slot is deeper", and needs no
 * recursion and no memory.
 *
 * A capability that is configured into an object (a thread's CNode, an interrupt's Notification) is held: the object
 * keeps a derived capability of its own in a held slot outside of all CNodes. So a revoke ends the configuration (the
 * holder's lost function is called), and an object that is in use is never destroyed.
 */
#ifndef KERNEL_SLOT_H
#define KERNEL_SLOT_H

#include <kernel/list.h>

struct work;

enum slot_use {
	SLOT_UNUSED,
	FRAME_MAPPED, /* Frame: mapped by VSPACE.MAP */
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

struct slot {
	union {
		struct {
			u8 type; /* L4_TYPE_*: also the tag of the unions below */
			u8 rights;
		};
		u16 type_rights; /* type | rights << 8 */
	};
	u8 size_bits;
	u8 kind : 4; /* L4_MEM_*, of Untyped and Frame */
	u8 use : 4;  /* enum slot_use */
	u32 depth;
	u64 object; /* struct object *; Untyped, Frame: physical address; IrqHandler: its number */
	union {
		u64 word;  /* any type: all of it */
		u64 badge; /* Endpoint, Notification, IrqHandler */
		u64 used;  /* Untyped: bytes from its start on that are objects */
		u64 where; /* Frame in use: virtual or guest-physical address */
		struct {   /* IoPort */
			u16 first, last;
		} ports;
	};
	struct slot *prev, *next;
	union {
		struct { /* Frame, while in use */
			struct vspace *vspace;
			struct list in_vspace;
		};
		struct {                       /* Untyped */
			u64 clean_from, clean; /* bytes [clean_from, clean), where not used, are known to be zero */
		};
	};
};
_Static_assert(sizeof(struct slot) == 1 << L4_CNODE_SLOT_BITS, "slot size");

#define SLOT_OBJECT(slot, kind) ((struct kind *)(slot)->object)

/* slot.c: derivation. */
void slot_insert_child(struct slot *parent, struct slot *child);
bool slot_has_derived(const struct slot *s);

/* Copy src's capability into the empty slot dst, as a derived (child) or an equal capability. */
void slot_copy(struct slot *dst, struct slot *src, u8 rights, u64 word, bool child);

/*
 * Empty a slot that has nothing derived from it, or whose derived slots go with what a revoke deletes. False: stopped
 * early for an interrupt, the slot is still there.
 */
bool slot_delete_one(struct slot *s);

/* Delete a capability, or one that is derived from it if there is any; or a part of that. */
void slot_take(struct slot *s);

/* Fill a held slot with a capability derived from cap, which is not in use; or empty it (no effect if empty). */
void slot_hold(struct slot *held, struct slot *cap, enum slot_use use);
void slot_drop(struct slot *held);

/* revoke.c. Each may stop early with *again set when an interrupt is pending: call again to go on. */
error_t slot_revoke(struct slot *s, bool *again);
error_t slot_delete(struct slot *s, bool *again);
error_t slot_reap(bool *again); /* finish the destruction of all objects without a capability */

#endif
