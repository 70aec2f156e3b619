// SPDX-License-Identifier: GPL-2.0-only
/* The end of a wait without a partner: a suspended thread, a revoked capability, a destroyed object. */
#include <kernel/arch.h>
#include <kernel/ipc.h>
#include <kernel/sched.h>

/* Take a thread out of whatever it waits for; it goes on with an error. */
void ipc_cancel(struct thread *t, error_t error)
{
	u8 state = t->state;

	if (state != THREAD_SEND && state != THREAD_RECV && state != THREAD_REPLY && state != THREAD_WAIT &&
	    state != THREAD_VCPU_WAIT)
		return;
	if (state != THREAD_REPLY && state != THREAD_VCPU_WAIT)
		list_unlink(&t->link);
	if (state == THREAD_RECV)
		reply_unbind(t);
	if (state == THREAD_REPLY) {
		struct reply *r = t->reply;

		reply_release(r);
		sched_context_return(r, t);
	}
	t->waiting = NULL;
	slot_drop(&t->send_slot);
	if (t->fault_label) {
		/* Nobody handles its fault: it cannot go on. */
		t->fault_label = 0;
		sched_block(t, THREAD_STOPPED);
		return;
	}
	if (state != THREAD_VCPU_WAIT || error)
		l4_frame_set_error(thread_frame(t), error);
	sched_wake(t);
}
