/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Synchronous IPC. A sender and a receiver meet at an Endpoint; the message is copied once from the sender's registers
 * and UTCB to the receiver's. Faults are calls that the kernel makes in a thread's name.
 */
#ifndef KERNEL_IPC_H
#define KERNEL_IPC_H

#include <kernel/endpoint.h>
#include <kernel/reply.h>

#define TAG_WORDS(tag) ((tag) & 0xff)
#define TAG_CAPS(tag)  ((tag) >> L4_TAG_CAPS_SHIFT & 0xff)

/* ipc.c */
error_t ipc_send(struct thread *t, struct slot *cap, u64 tag, bool block, bool call);
error_t ipc_recv(struct thread *t, struct slot *cap, struct reply *reply, bool block);
bool ipc_cancel_undeliverable(const struct thread *t, struct endpoint *ep, const struct reply *reply);
error_t ipc_check_reply(struct thread *t, const struct slot *reply_cap, u64 tag);
struct thread *ipc_reply(struct thread *t, struct slot *reply_cap, u64 tag);
void ipc_fast_fpu(void);

/* transfer.c */
error_t ipc_check_message(struct thread *t, u64 tag, bool grant);
void ipc_transfer(struct thread *from, struct thread *to, u64 badge, bool grant);

/* cancel.c: take a thread out of whatever it waits for; it goes on with an error. */
void ipc_cancel(struct thread *t, error_t error);

/* fault.c: a thread cannot go on: tell its fault Endpoint, or stop it. */
void ipc_fault(struct thread *t, u64 label, u64 w0, u64 w1, u64 w2, u64 w3);

#endif
