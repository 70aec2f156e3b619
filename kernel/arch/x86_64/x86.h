/* SPDX-License-Identifier: GPL-2.0-only */
/* Privileged instructions, and what the files of this folder share with plat/. */
#ifndef X86_H
#define X86_H

#include <arch/pte.h>
#include <kernel/arch.h>
#include <kernel/boot.h>
#include <kernel/uart.h>
#include "gate.h"
#include "entry.h"
#include "layout.h"

#define SEL_KERNEL_CODE 0x10
#define SEL_USER_BASE   0x20
#define SEL_TSS         0x38

#define VECTOR_NMI      2
#define VECTOR_BP       3
#define VECTOR_UD       6
#define VECTOR_NM       7
#define VECTOR_DF       8
#define VECTOR_GP       13
#define VECTOR_MC       18
#define VECTOR_LINE     32 /* interrupt controller's line 0 */
#define LINES           24
#define VECTOR_MSI      64
#define VECTOR_MSI_LAST 223
#define VECTOR_TIMER    224
#define VECTOR_IPI      240 /* alone in the class above all others: see apic_only_ipi() */
#define VECTOR_SPURIOUS 255

#define MSR_APIC_BASE         0x1b
#define MSR_SPEC_CTRL         0x48
#define MSR_PRED_CMD          0x49
#define MSR_ARCH_CAPABILITIES 0x10a
#define MSR_EFER              0xc0000080
#define MSR_STAR              0xc0000081
#define MSR_LSTAR             0xc0000082
#define MSR_CSTAR             0xc0000083
#define MSR_FMASK             0xc0000084
#define MSR_GS_BASE           0xc0000101
#define MSR_KERNEL_GS         0xc0000102

static inline void outb(u16 port, u8 v) { __asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outw(u16 port, u16 v) { __asm__ volatile("outw %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(u16 port, u32 v) { __asm__ volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }

static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u16 inw(u16 port)
{
	u16 v;

	__asm__ volatile("inw %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u32 inl(u16 port)
{
	u32 v;

	__asm__ volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}

static inline u64 rdmsr(u32 n)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(n));
	return lo | (u64)hi << 32;
}

static inline void wrmsr(u32 n, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(n), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static inline u64 read_cr2(void)
{
	u64 v;

	__asm__ volatile("mov %%cr2, %0" : "=r"(v));
	return v;
}

static inline u64 read_cr4(void)
{
	u64 v;

	__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

static inline u64 read_cr0(void)
{
	u64 v;

	__asm__ volatile("mov %%cr0, %0" : "=r"(v));
	return v;
}

static inline u64 read_flags(void)
{
	u64 v;

	__asm__ volatile("pushfq\n\tpop %0" : "=r"(v));
	return v;
}

static inline void write_cr0(u64 v) { __asm__ volatile("mov %0, %%cr0" : : "r"(v) : "memory"); }
static inline void write_cr3(u64 v) { __asm__ volatile("mov %0, %%cr3" : : "r"(v) : "memory"); }
static inline void write_cr4(u64 v) { __asm__ volatile("mov %0, %%cr4" : : "r"(v) : "memory"); }

static inline void cpuid(u32 leaf, u32 sub, u32 out[4])
{
	__asm__ volatile("cpuid" : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3]) : "a"(leaf), "c"(sub));
}

/* gate.c */
void gate_load(struct arch_cpu *c, struct thread *t);
void gate_unload(struct arch_cpu *c); /* the current thread is not of mode above any more */
extern struct cpu boot_cpu;

static inline void mmu_load(struct arch_cpu *c, u64 root)
{
	gate.root_k = root;
	c->root = root;
	write_cr3(root);
}

/* FS and GS bases of user mode: from's are saved, to's are loaded. */
static inline void switch_bases(struct arch_thread *from, const struct arch_thread *to)
{
	__asm__ volatile("rdfsbase %0\n\twrfsbase %1" : "=&r"(from->fs_base) : "r"(to->fs_base));
	__asm__ volatile("swapgs\n\trdgsbase %0\n\twrgsbase %1\n\tswapgs" : "=&r"(from->gs_base) : "r"(to->gs_base));
}

/* DS, ES, FS, GS: 0 unless user mode loaded others: null selectors up to 3, or those of its own segments. */
static inline u32 selectors_used(void)
{
	u32 used, one;

	__asm__ volatile("mov %%ds, %0\n\tmov %%es, %1\n\tor %1, %0\n\tmov %%fs, %1\n\tor %1, %0\n\t"
	                 "mov %%gs, %1\n\tor %1, %0"
	                 : "=&r"(used), "=&r"(one)
	                 :
	                 : "cc");
	return used;
}

extern u64 boot_root[512], boot_pdpt[512], boot_pdpt_kernel[512], boot_pd[2048];

/* How the FPU registers are kept from a thread: by CR0.TS, by CR4.OSXSAVE as well, by their content. */
enum fpu_way { FPU_LAZY, FPU_HIDDEN, FPU_EAGER };

void cpu_init(struct cpu *cpu, char *stack);
struct cpu *x86_cpu(u32 n);       /* of firmware's list */
char *gate_kernel_stack(u32 n);   /* its end, of one that is started */
extern char ap_start[], ap_end[]; /* what it starts with: ap.S */
extern u64 ap_root, ap_stack, ap_cpu;
void x86_secondary(struct cpu *cpu);
void x86_find_cpus(u64 rsdp);
bool x86_starts_cpus(void); /* the gate is not for mode above then */
extern char boot_stack_guard[];
bool stack_guard(u64 vaddr); /* vaddr is in a page below a stack */
void harden_init(void);      /* the CPU that boots */
void harden_init_cpu(void);  /* another */
void harden_guest_changed(void);
enum fpu_way harden_fpu(void);
bool harden_fpu_keeps_pointers(void); /* FXRSTOR and XRSTOR leave the x87's last addresses of the state before */
bool harden_allows_above(void);
bool harden_above_holds(void);
enum fpu_way fpu_find_way(void); /* on this machine, which may be an emulation; but for LazyFP */
void fpu_init(enum fpu_way way);
void fpu_switch(struct thread *t);
void fpu_take(struct thread *t);
void fpu_leave(struct cpu *cpu, struct thread *from, struct thread *to) __cold;
void mmu_map_direct(struct boot_machine *m, u64 start, u64 end, bool uncached);
void mmu_protect(void);
void mmu_drop_identity(void);

/* plat/ */
void apic_init(void);
void apic_init_cpu(void);
u32 apic_id(void);
void apic_send(u32 id, u32 what);
#define APIC_NMI       0x4400 /* what: an NMI, an INIT, a start-up in a page, or a vector */
#define APIC_INIT      0x4500
#define APIC_START(pa) (0x4600 | (pa) >> L4_PAGE_BITS)
void apic_eoi(void);
u32 apic_only_ipi(void); /* this CPU takes no other interrupts, until apic_restore(what this returns) */
void apic_restore(u32 before);
bool apic_pending(void);
void apic_timer(u64 ticks);
u64 clock_calibrate(void);
u32 madt_apics(u64 rsdp, u8 *ids, u32 most); /* plat/firmware/madt.c */
extern u64 apic_timer_hz;

/* Called by entry.S. */
void x86_boot(u64 start_info);
void x86_syscall(struct cpu *cpu);
struct l4_vcpu_page *x86_vcpu_enter(struct cpu *cpu, u64 slot);
void x86_above_syscall(struct cpu *cpu);
void x86_above_enter(struct cpu *cpu, u64 slot);
struct l4_vcpu_page *x86_guest_syscall(struct cpu *cpu);
void x86_guest_bad_entry(void);
void x86_bad_ip(void);
struct l4_vcpu_page *x86_trap(u32 vector, u64 error);
void x86_kernel_trap(u32 vector, u64 *frame);
u32 x86_sleep(void);
void arch_syscall(void);
void arch_syscall_many(void);
extern char gate_stubs[];
u64 gate_probe(void); /* entry.S; its ends are the handlers of two exceptions */
extern char gate_probe_ring_0[], gate_probe_ring_1[];
u64 fpu_probe(void *area); /* the same */
extern char fpu_probe_trapped[];
extern char kernel_start[], kernel_const[], kernel_data[], kernel_end[], boot_stack_top[];

#endif
