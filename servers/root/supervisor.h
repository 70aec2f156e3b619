/* SPDX-License-Identifier: GPL-2.0-only */
/* The lives of all servers: start, readiness, ping, death, restart. */
#ifndef ROOT_SUPERVISOR_H
#define ROOT_SUPERVISOR_H

#include "server.h"

/* Add a server of the system; start all that were added. */
void supervisor_add(const struct l4_system_server *system, const struct guest_memory *guest_memory,
                    unsigned long guest_notification);
void supervisor_start(void);

/* A capability that signals to server number i that its guest has work for it; its place in the system. */
unsigned long supervisor_kick(unsigned int i);

/* A message of server number i. True: it waits for an answer, which is *word. */
bool supervisor_call(unsigned int i, const struct l4_msg *msg, u64 *word);

/* A fault of server number i. True: it may go on, and waits for an answer. */
bool supervisor_fault(unsigned int i, const struct l4_msg *msg);

/* About once a second. */
void supervisor_tick(void);

/* Whether each server is ready, or has shown that it will not be. */
bool supervisor_settled(void);

/* The server that writes the log out, when it is ready; -1: there is none. */
int supervisor_log_writer(void);

/* Ask a server to answer; suspend all others, so that none keeps it from the CPU. */
void supervisor_ping(unsigned int i);
void supervisor_stop_all_but(unsigned int i);

/* Without a clock a server that keeps dying is started again at once. */
void supervisor_set_clock(bool there_is_one);

#endif
