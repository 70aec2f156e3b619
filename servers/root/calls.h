/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Calls of guests. They come to an Endpoint of their own, from which a thread with the priority of a vCPU hands them on
 * to the root pager, one at a time. It gives its CPU away after each. So however many vCPUs call from other CPUs, all
 * servers of the root pager's CPU that can run do so between two calls, and each vCPU there has its turn.
 */
#ifndef ROOT_CALLS_H
#define ROOT_CALLS_H

#define VCPU_PRIORITY 100

/* Start the thread. A fault of it is a message to the root pager with this badge. */
void calls_init(unsigned long fault_badge);

/* A capability for a guest, whose calls are handed on by `call`, a sender of messages.h. */
unsigned long calls_sender(unsigned long call);

#endif
