/* SPDX-License-Identifier: GPL-2.0-only */
/* Privileged instructions, and what the files of this folder share with plat/. */
#ifndef RISCV_H
#define RISCV_H

#include <arch/pte.h>
#include <kernel/arch.h>
#include <kernel/boot.h>
#include <devicetree.h>
#include "layout.h"

#define CAUSE_INTERRUPT   BIT(63)
#define CAUSE_ILLEGAL     2
#define CAUSE_FETCH_FAULT 12
#define CAUSE_LOAD_FAULT  13
#define CAUSE_STORE_FAULT 15

#define IRQ_SOFTWARE 1 /* bits of sie and sip, and causes of interrupts */
#define IRQ_TIMER    5
#define IRQ_EXTERNAL 9

/* By number, for binutils that do not know them. */
#define CSR_STIMECMP 0x14d
#define CSR_SENVCFG  0x10a
#define SENVCFG_CBZE BIT(7)

#define csr_name_(csr) #csr
#define csr_name(csr)  csr_name_(csr)
#define csr_read(csr)                                                                \
	({                                                                           \
		u64 v_;                                                              \
		__asm__ volatile("csrr %0, " csr_name(csr) : "=r"(v_) : : "memory"); \
		v_;                                                                  \
	})
#define csr_write(csr, v) __asm__ volatile("csrw " csr_name(csr) ", %0" : : "rK"((u64)(v)) : "memory")
#define csr_set(csr, v)   __asm__ volatile("csrs " csr_name(csr) ", %0" : : "rK"((u64)(v)) : "memory")
#define csr_clear(csr, v) __asm__ volatile("csrc " csr_name(csr) ", %0" : : "rK"((u64)(v)) : "memory")

/* Interrupts that the CPU would take now, as bits of sip. */
static inline u64 interrupts_pending(void)
{
	return csr_read(sip) & (BIT(IRQ_SOFTWARE) | BIT(IRQ_TIMER) | BIT(IRQ_EXTERNAL));
}

/* Of a root: its translations. The kernel's own are global and stay (4.2.1). */
static inline void flush_root(u64 root)
{
	__asm__ volatile("sfence.vma zero, %0" : : "r"(root >> SATP_ASID_SHIFT & SATP_ASID_MASK) : "memory");
}

/*
 * Forget all translations, and what was fetched of instructions: a page that is mapped anew may hold code that another
 * hart has written (Zifencei). The mark is taken off before, and what others wrote before they set it is seen by then: so
 * one that is set in between stays, or is done with. In one piece, so that what it is inlined in does not grow.
 */
static inline void flush_stale(struct arch_cpu *c)
{
	u32 untagged = c->untagged;

	__asm__ volatile __inline__("amoswap.w.aqrl %0, %0, %1\n\tsfence.vma\n\tfence.i"
	                            : "+r"(untagged), "+A"(c->stale)
	                            :
	                            : "memory");
}

/* No two roots have the same tag, so translations may stay, but for what changed while it was not in use. */
static inline void load_root(struct arch_cpu *c, u64 root)
{
	c->root = root;
	csr_write(satp, root);
	if (unlikely(READ_ONCE(c->stale)))
		flush_stale(c);
}

extern u64 boot_kernel_table[512], boot_sv48_root[512];
extern u64 boot_image_table[512];
extern u64 boot_satp, boot_next[2];
extern char boot_hart[], kernel_start[], kernel_data[];

/* cpu.c: the n-th CPU, started or not; the page below its stack, and below this one's. */
struct cpu *riscv_cpu(u32 n);
char *kernel_stack_guard(u32 n);
static inline bool is_stack_overflow(u64 addr)
{
	return addr - ((u64)this_cpu() - KERNEL_STACK - KERNEL_GUARD) < KERNEL_GUARD;
}

/* Are the FP registers those of t? */
static inline bool fpu_is_loaded(const struct arch_cpu *c, const struct thread *t)
{
	return c->fpu_owner == t && likely(t->arch.fpu_cpu == c);
}

/* boot.c: node of the CPU that booted. */
extern int boot_cpu_node;

/* isa.c: extensions of that CPU; of another: does it have the same? Set-up of the CPU that runs. */
void isa_init(void);
bool isa_has(const char *extension);
bool isa_is_same(int node);
void isa_init_cpu(void);

void cpu_init(struct cpu *cpu);
void fpu_take(struct thread *t);
void fpu_off(void);
void fpu_switch(struct thread *to);
bool fpu_trap(struct thread *t);
void mmu_init(void);
void mmu_init_cpu(void);
void timer_init(void);
void timer_init_cpu(void);

/* plat/ */
void plic_init(struct boot_machine *m);
void plic_init_cpu(int cpu_node);
void plic_interrupt(void);
enum sbi_id { SBI_VENDOR = 4, SBI_ARCH, SBI_IMPLEMENTATION };
u64 sbi_id(enum sbi_id which);
void sbi_timer(u64 when);
bool sbi_has_harts(void);                              /* can it start harts, and interrupt others? */
u64 sbi_hart_start(u64 hart, u64 entry, u64 argument); /* 0 or an error of SBI's */
void sbi_ipi(u64 hart);

/* Called by entry.S and boot.S. */
void riscv_boot(u64 hart, u64 dtb) __noreturn;
void riscv_hart(void) __noreturn;
void riscv_syscall(void);
struct l4_vcpu_page *riscv_vcpu_enter(u64 slot);
struct l4_vcpu_page *riscv_guest_syscall(void);
struct l4_vcpu_page *riscv_trap(u64 cause);
void riscv_wake(void) __noreturn;
void riscv_entry(void);
void riscv_entry_many(void); /* with several CPUs */
bool riscv_device(void *at, u64 what, u64 *value);

#endif
