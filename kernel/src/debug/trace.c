// SPDX-License-Identifier: GPL-2.0-only
/* The trace: see kernel/trace.h. Its layout is what orchestration/inspect/trace.py reads; it describes itself. */
#include <kernel/arch.h>
#include <kernel/debug.h>
#include <kernel/lock.h>
#include <kernel/trace.h>

#ifdef KERNEL_TRACE
struct entry {
	u64 time;        /* counter value */
	u64 kind_thread; /* kind << 56 | low bits of the thread's address */
	u64 a, b;
};

static struct {
	u64 magic;
	u32 version, kinds, endpoints, ring;
	u64 counter_hz;
	u64 head; /* entries ever written */
	char name[TRACE_KINDS][TRACE_NAME];
	u64 count[TRACE_KINDS];
	struct {
		u64 address, messages;
	} endpoint[TRACE_ENDPOINTS]; /* in the order of first use; later ones are not told apart */
	struct entry entry[TRACE_RING];
} trace = {
	.magic = 0x45434152544c4c51,		/* QLLTRACE */
	.version = 1,
	.kinds = TRACE_KINDS,
	.endpoints = TRACE_ENDPOINTS,
	.ring = TRACE_RING,
	.name = {
#define X(name, text) text,
		TRACE_EVENTS(X)
#undef X
	},
};

static void count_endpoint(u64 address)
{
	for (u32 i = 0; i < TRACE_ENDPOINTS; i++) {
		if (!trace.endpoint[i].address)
			trace.endpoint[i].address = address;
		if (trace.endpoint[i].address == address) {
			trace.endpoint[i].messages++;
			return;
		}
	}
}

/* Without the lock: CPUs share the ring, and each entry is one CPU's. A reader may see the last ones half written. */
static noinline void event_of_many(enum trace_event kind, u64 a, u64 b)
{
	struct entry *e = &trace.entry[__atomic_fetch_add(&trace.head, 1, __ATOMIC_RELAXED) % TRACE_RING];

	trace.counter_hz = arch_counter_hz();
	__atomic_fetch_add(&trace.count[kind], 1, __ATOMIC_RELAXED);
	if (kind == EVENT_IPC)
		count_endpoint(a);
	*e = (struct entry){ arch_counter(), (u64)kind << 56 | ((u64)this_cpu()->current & (BIT(56) - 1)), a, b };
}

void event(enum trace_event kind, u64 a, u64 b)
{
	struct entry *e = &trace.entry[trace.head % TRACE_RING];

	if (cpus_many()) {
		event_of_many(kind, a, b);
		return;
	}
	if (unlikely(!trace.counter_hz))
		trace.counter_hz = arch_counter_hz();
	trace.count[kind]++;
	if (kind == EVENT_IPC)
		count_endpoint(a);
	*e = (struct entry){ arch_counter(), (u64)kind << 56 | ((u64)this_cpu()->current & (BIT(56) - 1)), a, b };
	WRITE_ONCE(trace.head, trace.head + 1);
}

void event_take(const struct event_args *e) { event(e->kind, e->a, e->b); }

void trace_announce(void) { printk("l4: trace at %lx, %lu bytes\n", arch_pa(&trace), sizeof(trace)); }

error_t trace_counter(u64 index, u64 *value, char name[TRACE_NAME])
{
	if (index >= TRACE_KINDS)
		return L4_ERR_RANGE;
	index = index_nospec(index, TRACE_KINDS);
	*value = trace.count[index];
	memcpy(name, trace.name[index], TRACE_NAME);
	return L4_ERR_OK;
}
#else
error_t trace_counter(u64 index, u64 *value, char name[TRACE_NAME]) { return L4_ERR_RANGE; }
#endif
