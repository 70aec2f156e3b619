/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Events of the kernel, counted and written to a ring: what a benchmark or a dossier wants to know. Only
 * quoll-trace.elf has them (built with KERNEL_TRACE); in quoll.elf event() is nothing.
 *
 * The data is read from outside, through the machine's monitor (orchestration/inspect/trace.py, told the place by a
 * line of the log), and the counters by SYS_DEBUG_COUNTER.
 */
#ifndef KERNEL_TRACE_H
#define KERNEL_TRACE_H

#include <kernel/types.h>

/* Name, what a and b of its ring entry are. */
#define TRACE_EVENTS(X)                                                              \
	X(SYSCALL, "syscall")             /* number, capability */                   \
	X(GUEST_SYSCALL, "guest-syscall") /* of guest user mode: thread */           \
	X(GUEST_ENTER, "guest-enter")     /* slot of the space, frame_gpa */         \
	X(PAGE_FAULT, "page-fault")       /* address, access */                      \
	X(EXCEPTION, "exception")         /* vector, error */                        \
	X(INTERRUPT, "interrupt")         /* number, CPU */                          \
	X(FPU, "fpu-switch")              /* thread that gets the registers */       \
	X(THREAD_SWITCH, "thread-switch") /* from, to */                             \
	X(SPACE_SWITCH, "space-switch")   /* root */                                 \
	X(FILL, "fill")                   /* address, guest's entry */               \
	X(FILL_AROUND, "fill-around")     /* address */                              \
	X(FILL_HINT, "fill-hint")         /* address */                              \
	X(TABLE, "table-page")            /* physical address */                     \
	X(EVICTION, "eviction")           /* GuestSpace or 0 */                      \
	X(FLUSH, "flush")                 /* start, end */                           \
	X(FLUSH_SPACE, "flush-space")     /* GuestSpace */                           \
	X(GUEST_FAULT, "guest-fault")     /* address, access: passed to the guest */ \
	X(GUEST_EVENT, "guest-event")     /* bits */                                 \
	X(UPCALL, "upcall")               /* reason */                               \
	X(SIGNAL, "signal")               /* Notification, bits */                   \
	X(IPC, "ipc")                     /* Endpoint, tag */

enum trace_event {
#define X(name, text) EVENT_##name,
	TRACE_EVENTS(X)
#undef X
		TRACE_KINDS
};

#define TRACE_RING      8192 /* entries, a power of two */
#define TRACE_ENDPOINTS 64   /* whose messages are counted apart */
#define TRACE_NAME      24   /* bytes of a name, zero-padded */

#ifdef KERNEL_TRACE
void event(enum trace_event kind, u64 a, u64 b);
/* The same where a message is in registers, which stay as they are (ipc/fast.c): by event_call() of entry.S. */
#define event_live(kind, a, b) event_call(&(struct event_args){ EVENT_##kind, a, b })
struct event_args {
	u64 kind, a, b;
};
void event_call(const struct event_args *e);
void event_take(const struct event_args *e);
void trace_announce(void); /* a line of the log: where it is */
#else
static inline void event(enum trace_event kind, u64 a, u64 b) {}
#define event_live(kind, a, b) ((void)0)
static inline void trace_announce(void) {}
#endif

/* Value and name of a counter. ERR_RANGE past the last; the kernel without trace has none. */
error_t trace_counter(u64 index, u64 *value, char name[TRACE_NAME]);

#endif
