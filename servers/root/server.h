/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One server: a program, the resources of its device, its edge to a guest, and its lives. All that belongs to one life
 * comes from one pool, so emptying the pool ends it. What must outlive it (its Notification, interrupt, DMA memory and
 * the guest's side) does not.
 */
#ifndef ROOT_SERVER_H
#define ROOT_SERVER_H

#include <platform/device.h>

#include "guest_memory.h"
#include "pool.h"
#include "system.h"

#define SERVER_NAME 24

struct server {
	const struct l4_system_server *system;
	char name[SERVER_NAME]; /* in the log: its program's, and a number if it drives a further device of a kind */
	unsigned int number;    /* in badges */
	struct device device;
	const struct guest_memory *guest_memory; /* of the guest that it serves */

	unsigned long cpu;           /* where it runs, and begins its lives */
	unsigned long interrupt_cpu; /* where its interrupt goes */

	/* One life. */
	struct pool life;
	unsigned long memory; /* Untyped of the pool */
	unsigned long thread, vspace, cnode, sched;
	unsigned long next_slot; /* free, in its CNode, while its resources are given */
	u64 started_at;          /* value of the CPU's counter */
	u64 used, waits;         /* of its SchedContext, at the last tick */
	u64 used_of_tick;
	bool ready;

	/* All lives. */
	unsigned long event, irq_event, kick, ping, log_event; /* its Notification, and capabilities that signal it */
	unsigned long dma, call, fault, guest_event;
	struct l4_frame last; /* registers with which the last life ended, for its successor */
	u64 restarts;
	u64 log_position; /* where in the log a server goes on that finds nothing of a predecessor */
};

/* Make all that outlives a server and claim its device. guest_notification is of the guest that it serves. */
void server_init(struct server *server, const struct l4_system_server *system, unsigned int number,
                 const struct guest_memory *guest_memory, unsigned long guest_notification);

/* Begin a life; end it. */
void server_start(struct server *server);
void server_end(struct server *server);

/* Have it run on another CPU from now on, and its interrupt go there: between two lives, or in the midst of one. */
void server_move(struct server *server, unsigned long cpu, bool lives);

/* Whether its program or stack has an address, with these rights. */
bool server_may_access(const struct server *server, u64 address, unsigned long access);

/* Map the page of an address that it may access. False: no memory is left. */
bool server_page_in(struct server *server, u64 address);

/* Time and waits since the last call, into used_of_tick. Returns whether it has waited. */
bool server_measure(struct server *server);

#endif
