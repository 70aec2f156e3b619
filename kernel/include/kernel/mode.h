/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Modes of a thread, and the ways between them:
 *
 *   own          registers in the thread's frame; a thread without a vCPU has no other mode
 *   guest kernel the same, with a vCPU: entry codes differ
 *   guest user   registers in the guest's memory, root of a GuestSpace
 *   above        registers in the thread's frame, in guest kernel and guest user mode alike, and one root for both
 *
 *   guest kernel -> guest user: mode_enter_user()       guest user -> guest kernel: mode_leave_user(), vcpu_syscall()
 *   guest kernel -> guest kernel, at its kernel_entry: mode_upcall()                and back: mode_resume()
 *
 * A way out, struct l4_vcpu_page *, is how the current thread goes on: NULL, as its frame says. Or it has left guest
 * user mode (or did not get there), and its guest kernel starts at user_entry of that page; then the entry code loads
 * user_entry, kernel_sp and exit_reason from there, and no frame is written and loaded. Each is the guest's to choose.
 * Before another thread runs, mode_start_kernel() puts that into the frame. Registers that C code keeps are those of
 * the thread that came into L4, so a way out is of this thread only.
 */
#ifndef KERNEL_MODE_H
#define KERNEL_MODE_H

#include <kernel/guestspace.h>
#include <kernel/vcpu.h>

void thread_set_own_mode(struct thread *t);
void thread_stop(struct thread *t);

void mode_enter_user(struct thread *t, struct guestspace *g, struct l4_frame *end);
void mode_enter_above(struct thread *t, struct guestspace *g, const struct l4_frame *f, u64 slot);
void mode_leave_user(struct thread *t, u32 reason, u32 code);            /* of any thread */
struct l4_vcpu_page *mode_leave(struct thread *t, u32 reason, u32 code); /* of the current thread: a way out */
void mode_start_kernel(struct thread *t);
void mode_upcall(struct thread *t, u32 reason, u64 addr); /* addr: for a report to the thread's pager */
void mode_resume(struct thread *t);
void mode_leave_exit(struct thread *t); /* mode above: if it is on its way out to user mode, it looks for events first */

/* All vCPUs of the VSpace that are in guest user mode, or those in space g, leave it; mode above: that have it loaded. */
void mode_leave_all(struct vspace *v, const struct guestspace *g, u32 error);

/* Called by the entry code for a system call of guest user mode: returns the page whose registers it loads. */
struct l4_vcpu_page *vcpu_syscall(struct thread *t);

#endif
