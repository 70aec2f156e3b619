/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The porting contract: what kernel/arch/<isa> provides besides its headers arch/context.h, arch/cpu.h, arch/fast.h
 * and arch/pte.h (whose names are the same everywhere, see tests/unit/test_code.py). The other contracts are
 * irqchip.h, firmware.h and uart.h. No other file of the kernel knows a CPU or a board. The entry code calls entry.h,
 * vcpu_syscall(), irq_deliver() and ipc/fast.c; all of it runs with interrupts disabled.
 */
#ifndef KERNEL_ARCH_H
#define KERNEL_ARCH_H

#include <kernel/cpu.h>

/* mmu.c: kernel address of a physical one, by the linear map of all RAM; and back, also for the kernel's image. */
void *arch_ptr(u64 pa);
u64 arch_pa(const void *p);

/*
 * mmu.c: a root is what the CPU's root register takes: a table's physical address and, where translations are tagged,
 * their tag. Entries are made by arch/pte.h.
 */
u64 arch_root_init(u64 *table); /* fill the kernel's part of a zeroed root table; returns the root */
error_t arch_vspace_guest(struct vspace *v, u32 mode);              /* make an unused VSpace a guest kernel's */
void arch_space_join(u64 *table, u64 root, const struct vspace *v); /* an unused root is one of v's guest from now on */
u32 arch_guest_modes(void);                                         /* bit mask of L4_GUEST_... */
u32 arch_weak_modes(void); /* of them, those that a guest kernel can break out of on this machine */
/*
 * All CPUs leave it and forget all its translations. Of the others none is in user mode: a CPU that has it loaded waits
 * at the lock or idles.
 */
void arch_root_destroy(u64 root);
/* Of this CPU: forget a root's translations, now if it is in use, else before it is the next time. */
void arch_root_flush(u64 root);
void arch_root_flush_others(u64 root); /* the same of all other CPUs, before they are in user mode again */
void arch_flush_page(u64 vaddr);       /* of the root in use: forget one page, after an entry changed or became valid */
void arch_forget_all(void);            /* this CPU forgets all translations of user mode */
void arch_filled(u64 root);            /* entries that were invalid are valid now: make this CPU see them */
void arch_code_written(void *p, u64 size); /* the kernel wrote code for user mode: make instruction fetches see it */

/* mmu.c: one aligned access of 1, 2 or 4 bytes to a device's register. False: the CPU reports that nothing is there. */
bool arch_device_access(u64 pa, u64 width, bool store, u64 *value);

/* cpu.c: fill vcpu_page.cpu_id: what user mode under L4 may use of this CPU. */
void arch_cpu_id(u64 *id);

/* cpu.c: set initial values of t->arch, which is zero; and t is destroyed: nothing of it may be in the CPU's state. */
void arch_thread_init(struct thread *t);
void arch_thread_forget(struct thread *t);

/*
 * cpu.c: save from's CPU state outside its frame, load to's and its mode (frame_end, root, entry). to may be idle. With
 * several CPUs from's FPU state is in memory afterwards, too.
 */
void arch_switch(struct cpu *cpu, struct thread *from, struct thread *to);
void arch_load_mode(struct thread *t);  /* of the current thread: frame_end, root or entry have changed */
void arch_load_guest(struct thread *t); /* the same, with another root than is loaded: guest user mode and back */
void arch_load_above(struct thread *t); /* the same, if it is of mode above */

/* fpu.c: for ipc/fast.c, whose arch_fast_switch() has left that to be done. */
void arch_fast_fpu(struct thread *to);

/*
 * cpu.c: make a frame good enough to be loaded that was copied from user mode. With a bad instruction pointer, in any
 * frame, there is an exception of user mode: the CPU or entry.S finds it.
 */
void arch_frame_sanitise(struct l4_frame *f, bool above); /* above: of a guest kernel of that mode */
void arch_dump_frame(const struct l4_frame *f);           /* printk() of all registers */

/* cpu.c, entry.S: the ends of kernel execution. */
void arch_idle(void) __noreturn;           /* wait for an interrupt, handle it, return to user mode or wait again */
void arch_return_to_user(void) __noreturn; /* load the current thread's frame */
void arch_halt(void) __noreturn;

/* time.c: the CPU's counter, which user mode may read, and a one-shot timer whose interrupt calls trap_timer(). */
u64 arch_counter(void);
u64 arch_counter_hz(void);
void arch_timer_set(u64 when);     /* a time that has passed interrupts at once */
bool arch_interrupt_pending(void); /* would the CPU take one now, were interrupts enabled? */

/*
 * Many CPUs. Firmware's list of them has the one that booted as number 0. The struct cpu of another is zero but for what
 * cpus_start() sets; when it is set up, on its own stack with interrupts off, it calls cpu_main(). What concerns it alone
 * may fail with a line of the log. arch/cpu.h:
 *   - arch_relax(), in loops that wait for another CPU
 *   - arch_count_first(count): sets a count of 0 to 1 and acquires; false if it is not 0
 *   - arch_count_last(count): lowers a count by 1 and releases; true if it is 0 then
 */
u32 arch_cpus(void);
struct cpu *arch_cpu_data(u32 n);      /* of number n of firmware's list */
bool arch_cpu_start(u32 n);            /* of firmware's list. False: firmware refuses, and the log tells why */
void arch_cpu_unwanted(u32 n);         /* it has not come in time: it must not come with what the next one uses */
void arch_cpus_many(void);             /* system calls of cpus[0], which calls it, come to the entry for several CPUs */
void arch_ipi(u32 n);                  /* interrupt cpus[n], which calls trap_ipi() */
void arch_stop(u32 n);                 /* interrupt cpus[n] even in L4, where there is such an interrupt: it panics */
void arch_lock_sleep(void);            /* until arch_ipi() is or was called, and its interrupt has been taken */
void arch_lock_taken(struct cpu *cpu); /* this CPU has the lock: it may have been told to flush meanwhile */

/*
 * arch/cpu.h: arch_port_in(port, width) and arch_port_out(port, width, value); width is 1, 2 or 4. Where ARCH_IOPORTS is
 * 0 they are declared and not called.
 */

#endif
