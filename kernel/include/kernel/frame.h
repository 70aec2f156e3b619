/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Frame: memory or device registers that can be mapped. A capability is one mapping: unused -> mapped in a VSpace, or
 * attached to it as guest memory -> (detaching, in preemptible steps) -> unused.
 */
#ifndef KERNEL_FRAME_H
#define KERNEL_FRAME_H

#include <kernel/vspace.h>

void frame_use(struct slot *s, enum slot_use use, struct vspace *v, u64 where);
void frame_forget(struct slot *s); /* its VSpace no longer maps it */
void frame_moved(struct slot *from, struct slot *to);

/* Undo MAP or ATTACH. False: preempted; call it again before the Frame is used for anything else. */
bool frame_release(struct slot *s, struct work *work);

#endif
