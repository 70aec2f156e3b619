// SPDX-License-Identifier: GPL-2.0-only
/* Faults: the kernel calls the fault Endpoint in the name of a thread that cannot go on. */
#include <kernel/debug.h>
#include <kernel/ipc.h>
#include <kernel/lock.h>
#include <kernel/sched.h>

void ipc_fault(struct thread *t, u64 label, u64 w0, u64 w1, u64 w2, u64 w3)
{
	struct slot *ep = &t->fault_slot;
	error_t error = L4_ERR_CAP;

	/* A guest's fault was not under the lock so far. Without its thread, the fault comes again. */
	if (!kernel_locked() && !lock_take(LOCK_AGAIN))
		return;
	t->fault_words[0] = w0;
	t->fault_words[1] = w1;
	t->fault_words[2] = w2;
	t->fault_words[3] = w3;
	if (ep->type == L4_TYPE_ENDPOINT) {
		t->fault_label = label;
		error = ipc_send(t, ep, 0, true, true);
	}
	if (error) {
		t->fault_label = 0;
		printk("l4: thread %p stopped: fault %lu, %lx %lx ip %lx\n", t, label, w0, w1, w2);
		sched_block(t, THREAD_STOPPED);
	}
}
