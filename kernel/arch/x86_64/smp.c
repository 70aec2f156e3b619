// SPDX-License-Identifier: GPL-2.0-only
/* The CPUs of the machine: their list, their start, interrupts to each other. */
#include <kernel/debug.h>
#include <kernel/entry.h>
#include <kernel/lock.h>
#include "x86.h"

#define INIT_US    10000 /* MultiProcessor Specification 1.4, B.4 */
#define STARTUP_US 200

struct cpu boot_cpu;
static struct cpu more_cpus[L4_CPUS_MAX - 1];

static u8 apic_ids[L4_CPUS_MAX]; /* firmware's list, the CPU that boots first */
static u32 cpus_listed = 1;

struct cpu *x86_cpu(u32 n) { return n ? &more_cpus[n - 1] : &boot_cpu; }

void x86_find_cpus(u64 rsdp)
{
	u8 ids[L4_CPUS_MAX];
	u32 n = madt_apics(rsdp, ids, L4_CPUS_MAX);

	apic_ids[0] = apic_id();
	for (u32 i = 0; i < n && cpus_listed < L4_CPUS_MAX; i++)
		if (ids[i] != apic_ids[0])
			apic_ids[cpus_listed++] = ids[i];
	if (x86_starts_cpus())
		printk("l4: no guest mode above: several CPUs would share its gate\n");
}

bool x86_starts_cpus(void) { return cpus_listed > 1; }

u32 arch_cpus(void) { return cpus_listed; }

struct cpu *arch_cpu_data(u32 n) { return x86_cpu(n); }

static void delay(u64 us)
{
	u64 until = arch_counter() + arch_counter_hz() / 1000000 * us;

	while (arch_counter() < until)
		arch_relax();
}

/* What the code at AP_PAGE runs on until the CPU has the kernel's own root: the first 2 MiB, and the kernel. */
static u64 ap_tables(void)
{
	static u64 root[512] __aligned(4096), pdpt[512] __aligned(4096), pd[512] __aligned(4096);

	memcpy(root, boot_root, sizeof(root));
	root[0] = arch_pa(pdpt) | PTE_P | PTE_W;
	pdpt[0] = arch_pa(pd) | PTE_P | PTE_W;
	pd[0] = PTE_P | PTE_W | PTE_PS;
	return arch_pa(root);
}

bool arch_cpu_start(u32 n)
{
	struct cpu *cpu = x86_cpu(n);
	char *copy = arch_ptr(AP_PAGE);

	if (n == 1) {
		printk("l4: no guest mode above with several CPUs\n");
		boot_cpu.idle.root = arch_pa(boot_root);
	}
	cpu->arch.apic_id = apic_ids[n];
	memcpy(copy, ap_start, ap_end - ap_start);
	*(u64 *)(copy + ((char *)&ap_root - ap_start)) = ap_tables();
	*(u64 *)(copy + ((char *)&ap_stack - ap_start)) = (u64)gate_kernel_stack(cpu->number);
	*(u64 *)(copy + ((char *)&ap_cpu - ap_start)) = (u64)cpu;
	apic_send(apic_ids[n], APIC_INIT);
	delay(INIT_US);
	for (u32 k = 0; k < 2 && __atomic_load_n(&cpu->state, __ATOMIC_ACQUIRE) != CPU_CAME; k++) {
		apic_send(apic_ids[n], APIC_START(AP_PAGE));
		delay(STARTUP_US);
	}
	return true;
}

/* Back to where it waits for a start: the code at AP_PAGE, a stack and a TSS will be the next one's. */
void arch_cpu_unwanted(u32 n)
{
	apic_send(apic_ids[n], APIC_INIT);
	delay(INIT_US);
}

void arch_cpus_many(void) { gate_set_syscall((u64)arch_syscall_many); }

/* From ap.S, on the stack of the CPU that has started. */
void x86_secondary(struct cpu *cpu)
{
	cpu->idle.root = arch_pa(boot_root);
	cpu_init(cpu, gate_kernel_stack(cpu->number));
	apic_init_cpu();
	cpu_main();
}

void arch_stop(u32 n) { apic_send(cpus[n]->arch.apic_id, APIC_NMI); }

void arch_lock_sleep(void)
{
	u32 before = apic_only_ipi(), vector = x86_sleep();

	apic_restore(before);
	if (vector == VECTOR_SPURIOUS)
		return;
	apic_eoi();
	trap_ipi();
}

void arch_ipi(u32 n) { apic_send(cpus[n]->arch.apic_id, VECTOR_IPI); }
