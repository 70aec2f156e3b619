/* SPDX-License-Identifier: GPL-2.0-only */
/* The root pager's Endpoint: badges say who sends and why, Reply objects hold who waits for an answer. */
#ifndef ROOT_MESSAGES_H
#define ROOT_MESSAGES_H

#include <l4/types.h>

/* A badge is one of these, the number of the server or guest, and that of the guest's vCPU. */
#define BADGE_NUMBER       0xffUL
#define BADGE_VCPU         0xf000UL
#define BADGE_VCPU_SHIFT   12
#define BADGE_SERVER_CALL  0x100UL
#define BADGE_SERVER_FAULT 0x200UL
#define BADGE_GUEST_CALL   0x400UL
#define BADGE_GUEST_FAULT  0x800UL
/* Badge of a fault of the root pager's own thread for guests' calls (calls.h). */
#define BADGE_OWN_FAULT 0x20000UL
/* Badge of the root pager's own Notification, for the platform's clock. */
#define BADGE_TICK 0x10000UL

void messages_init(void);

/* A capability to send to the root pager, or, with faults, to report a thread's faults to it. */
unsigned long messages_sender(unsigned long badge);
unsigned long messages_fault_handler(unsigned long badge);

/* A capability that signals BADGE_TICK. */
unsigned long messages_tick(void);

/*
 * Receive the next message; whoever waits for an answer is in the Reply object `reply`. An error is returned, since
 * who drains the log must not end in fail() again.
 */
unsigned long messages_receive(unsigned long reply, struct l4_msg *msg);

/* Answer who waits in `reply`. Whoever only sent a message, or has ended, does not wait: then this does nothing. */
void messages_answer(unsigned long reply, unsigned long label, unsigned long word);

#endif
