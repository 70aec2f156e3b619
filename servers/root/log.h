/* SPDX-License-Identifier: GPL-2.0-only */
/* The kernel's log: a ring that the kernel writes and others read, until a server takes over its way out. */
#ifndef ROOT_LOG_H
#define ROOT_LOG_H

#include <l4/types.h>

/* Map the log; say() then sees it. */
void log_init(void);

/* The Frame of the log, for the server that writes it out. */
unsigned long log_frame(void);

/* Bytes written so far. */
u64 log_position(void);

/* From now on the kernel only keeps what is written and signals `event`. */
void log_bind(unsigned long event);
bool log_is_bound(void);

/* From now on the kernel writes to its serial line again. */
void log_unbind(void);

#endif
