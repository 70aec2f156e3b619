/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The porting contract: what kernel/arch/<isa> provides besides its headers arch/context.h, arch/cpu.h and
 * arch/pte.h (whose names are the same everywhere, see tests/unit/test_code.py), and what kernel/plat/<board> provides. No other file of the kernel knows a CPU or a board.
 */
#ifndef KERNEL_ARCH_H
#define KERNEL_ARCH_H

#include <kernel/cpu.h>

/* Physical memory is mapped linearly for the kernel. */
void *arch_ptr(u64 pa);
u64 arch_pa(const void *p);

/*
 * Page tables. A root is known by what the CPU's root register takes: the table's physical address and, where
 * translations are tagged, their tag.
 */
u64 arch_root_init(u64 *table);            /* the kernel's part of a new root table; returns the root */
void arch_root_destroy(u64 root);          /* the CPU must not stay on it, and forgets all of it */
void arch_root_flush(u64 root);            /* forget its translations, at the latest when it is used again */
void arch_flush_page(u64 vaddr);           /* of the root in use: forget one page, after a change */
void arch_filled(u64 root);                /* entries that were invalid are valid now */
void arch_code_written(void *p, u64 size); /* by the kernel, and user mode is to execute it */

/* One access to a device's register, aligned, of 1, 2 or 4 bytes. False: the CPU says that nothing is there. */
bool arch_device_access(u64 pa, u64 width, bool store, u64 *value);

/* What a guest is told of the CPU: vcpu_page.cpu_id. */
void arch_cpu_id(u64 *id);

/* Threads: from thread_init; leave one for another; take new modes into use; registers from user level. */
void arch_thread_init(struct thread *t);
void arch_thread_destroy(struct thread *t);
void arch_switch(struct cpu *cpu, struct thread *from, struct thread *to);
void arch_load_mode(struct thread *t);
u64 arch_entry_own(void); /* values of struct thread.entry */
u64 arch_entry_guest_kernel(void);
u64 arch_entry_guest_user(void);
bool arch_frame_valid(const struct l4_frame *f);
void arch_frame_sanitise(struct l4_frame *f);
void arch_idle(void) __attribute__((noreturn));
void arch_return_to_user(void) __attribute__((noreturn));
void arch_dump_frame(const struct l4_frame *f);
void arch_halt(void) __attribute__((noreturn));

/* Time: the CPU's counter and a one-shot timer. */
u64 arch_counter(void);
u64 arch_counter_hz(void);
void arch_timer_set(u64 when);
bool arch_interrupt_pending(void);

/* Board. */
bool plat_console_ready(void);
void plat_console_write(char c); /* whether it is ready or not */
error_t plat_irq_line(u64 line, bool level, u64 *irq);
void plat_irq_mask(u64 irq, u32 line, bool level, bool masked);
error_t plat_irq_msi(u64 irq, u64 *address, u64 *data);
u64 plat_irq_msi_first(void); /* above the last: the board has none */
u64 plat_irq_msi_last(void);
void plat_irq_msi_pause(bool on); /* the CPU takes no messages; lines may be held, too */
void plat_power_off(void);
void plat_restart(void);

/* Called by the architecture, which also tells EVENT_INTERRUPT, EVENT_SPACE_SWITCH and EVENT_FPU (kernel/trace.h). */
void trap_syscall(struct cpu *cpu);
void trap_page_fault(struct thread *t, u64 addr, u32 access, bool present);
void trap_exception(struct thread *t, u32 vector, u64 error, u64 addr); /* addr: what the CPU tells, or 0 */
void trap_exit(void);

#endif
