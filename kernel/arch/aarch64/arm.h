/* SPDX-License-Identifier: GPL-2.0-only */
/* System registers, and what the files of this folder share with plat/. */
#ifndef ARM_H
#define ARM_H

#include <arch/pte.h>
#include <kernel/arch.h>
#include <kernel/boot.h>
#include "layout.h"

#define read_sysreg(name)                                      \
	({                                                     \
		u64 v_;                                        \
		__asm__ volatile("mrs %0, " #name : "=r"(v_)); \
		v_;                                            \
	})
#define write_sysreg(v, name) __asm__ volatile("msr " #name ", %x0" : : "rZ"((u64)(v)) : "memory")
#define isb()                 __asm__ volatile("isb" : : : "memory")
#define dsb(what)             __asm__ volatile("dsb " #what : : : "memory")

#define MPIDR_AFFINITY 0xff00ffffffUL /* of MPIDR_EL1 */

/* Bits [at + 3, at] of an identification register. */
#define ID_FIELD(name, at) (read_sysreg(name) >> (at) & 15)

void cpu_init(void);
void fpu_off(void);
void fpu_switch(struct thread *t);
void fpu_trap(struct thread *t);
void mmu_init(u64 image);
void mmu_protect(void);
void mmu_map_direct(u64 start, u64 end);
void mmu_drop_identity(void);
void mmu_make_identity(void);
void mmu_init_cpu(void);
void timer_init(void);
void timer_init_cpu(void);
extern u32 timer_id;                   /* number of its interrupt */
struct cpu *arm_cpu(u32 n);            /* started or not */
const char *kernel_stack_guard(u32 n); /* the page below its stack */
extern u64 mmu_asid_mask;
extern char boot_secondary[], kernel_start[], kernel_data[];
extern char arm_vectors[], arm_vectors_many[]; /* with one CPU, with several */
extern u64 kernel_root[512], kernel_pages[512], boot_identity[512];

static inline u64 root_asid(u64 root) { return root >> 48; }

/* Forget the translations of an ASID. The barrier before it is for table entries that were changed. */
static inline void mmu_flush_asid(u64 asid)
{
	dsb(nshst);
	__asm__ volatile("tlbi aside1, %0" : : "r"(asid << 48) : "memory");
	dsb(nsh);
}

/*
 * The new table is in use before its ASID is flushed: while the old one of the same ASID is, the CPU may go on and
 * fill its translations by speculation. The kernel uses no user address, and the return to user mode is the barrier
 * that a change without a flush needs.
 */
static inline void mmu_load(struct arch_cpu *c, u64 root)
{
	u64 *last = &c->asid_root[root_asid(root)];

	c->root = root;
	write_sysreg(root, ttbr0_el1);
	if (unlikely(*last != root)) {
		isb();
		mmu_flush_asid(root_asid(root));
		*last = root;
	}
}

/* plat/ */
void gic_init(struct boot_machine *m);
void gic_init_cpu(void);    /* the part of the CPU that runs */
void gic_only_ipi(bool on); /* this CPU sees no other interrupts */
u32 gic_take(void);         /* the interrupt that is pending, now active, or GIC_NONE: its number, and who sent it */
void gic_end(u32 taken);
void gic_ipi(const struct cpu *cpu);
void gic_enable(u32 id);                                  /* one of this CPU's own */
u32 gic_interrupt(int node, int index, const char *what); /* by the device tree */
#define GIC_NONE      1020                                /* and above: not an interrupt */
#define GIC_ID(taken) ((taken) & 1023)
#define GIC_IPI       0 /* a software-generated interrupt */
void psci_init(void);
bool psci_has_cpus(void);                             /* can it start CPUs? */
long psci_cpu_on(u64 mpidr, u64 entry, u64 argument); /* 0 or an error of PSCI's */

/* Called by entry.S and boot.S. */
void arm_boot(u64 dtb, u64 image);
void arm_secondary(void);
void arm_syscall(struct cpu *cpu);
struct l4_vcpu_page *arm_vcpu_enter(struct cpu *cpu, u64 slot);
struct l4_vcpu_page *arm_guest_syscall(struct cpu *cpu);
struct l4_vcpu_page *arm_trap(u64 esr, u64 far);
struct l4_vcpu_page *arm_irq(void);
void arm_wake(void);
void arm_kernel_trap(u64 esr, u64 elr, u64 far, u64 sp) __noreturn;
bool arm_device(void *at, u64 what, u64 *value);

#endif
