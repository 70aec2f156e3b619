// SPDX-License-Identifier: GPL-2.0-only
/*
 * Platform-level interrupt controller (RISC-V PLIC specification 1.0). Its gateway holds back a source from claim
 * to completion, so what was claimed needs no other mask: ACK completes it. A completion counts only while the
 * source is enabled, so one that is given up between the two stays enabled and claimed until its next ACK.
 */
#include <kernel/debug.h>
#include <kernel/irq.h>
#include <kernel/irqchip.h>
#include <riscv.h>

#define SUPERVISOR_EXTERNAL 9

enum { PRIORITY = 0, ENABLE = 0x2000, ENABLE_CONTEXT = 0x80, CONTEXT = 0x200000, CONTEXT_SIZE = 0x1000, CLAIM = 4 };

static char *registers;
static u64 registers_size;
static int plic_node;
static u32 sources; /* highest number */
static bool enabled[IRQ_MAX], claimed[IRQ_MAX], level_triggered[IRQ_MAX];

/* Contexts are in the order of interrupts-extended: a CPU's goes to it as its external interrupt. */
static int find_context(const struct fdt *fdt, int node, int cpu_node)
{
	const void *at;
	int controller, cells;

	for (int i = 0; !fdt_interrupt(fdt, node, i, &controller, &at, &cells); i++)
		if (fdt_parent(fdt, controller) == cpu_node && fdt_cells(at, 1) == SUPERVISOR_EXTERNAL)
			return i;
	return -1;
}

/* struct arch_cpu has 0 for a CPU without a context. */
static inline char *context_of(const struct cpu *cpu)
{
	return registers + CONTEXT + (cpu->arch.context - 1UL) * CONTEXT_SIZE;
}

static inline char *enables_of(const struct cpu *cpu)
{
	return registers + ENABLE + (cpu->arch.context - 1UL) * ENABLE_CONTEXT;
}

static void enable(u64 irq, const struct cpu *cpu, bool on)
{
	char *word = enables_of(cpu) + irq / 32 * 4;
	u32 bit = 1U << irq % 32, before = mmio_read32(word);

	mmio_write32(word, on ? before | bit : before & ~bit);
	/* QEMU looks for what is pending already when the threshold is written, not the enables. */
	mmio_write32(context_of(cpu), 0);
}

static void set_enabled(u64 irq, const struct cpu *cpu, bool on)
{
	if (enabled[irq] == on)
		return;
	enabled[irq] = on;
	enable(irq, cpu, on);
}

void plic_init(struct boot_machine *m)
{
	static const char *const known[] = { "sifive,plic-1.0.0", "riscv,plic0", "thead,c900-plic", NULL };
	u64 pa;

	plic_node = machine_find(known);
	registers = machine_registers(plic_node, 0, "interrupt controller (PLIC)", &pa, &registers_size);
	sources = fdt_number(&machine_fdt, plic_node, "riscv,ndev", 0);
	if (sources >= IRQ_MAX)
		sources = IRQ_MAX - 1;
	plic_init_cpu(boot_cpu_node);
	if (!this_cpu()->arch.context || !sources)
		panic("device tree: the interrupt controller at %lx does not serve this CPU", pa);
	for (u32 i = 1; i <= sources; i++)
		mmio_write32(registers + PRIORITY + 4 * i, 1);
	boot_remove_range(m, align_down(pa, L4_PAGE_SIZE), align_up(pa + registers_size, L4_PAGE_SIZE));
}

/* The CPU that runs gets no interrupts, whatever firmware left, until some are routed to it. */
void plic_init_cpu(int cpu_node)
{
	int number = find_context(&machine_fdt, plic_node, cpu_node);
	struct cpu *cpu = this_cpu();

	if (number < 0 || CONTEXT + (number + 1UL) * CONTEXT_SIZE > registers_size)
		return;
	cpu->arch.context = number + 1;
	for (u32 i = 0; i <= sources / 32; i++)
		mmio_write32(enables_of(cpu) + 4 * i, 0);
	mmio_write32(context_of(cpu), 0);
}

/* By any CPU's context for which the source is enabled: the gateway does not look who claimed. */
static void complete(u64 irq, const struct cpu *cpu)
{
	claimed[irq] = false;
	mmio_write32(context_of(cpu) + CLAIM, irq);
}

void plic_interrupt(void)
{
	u32 irq = mmio_read32(context_of(this_cpu()) + CLAIM);

	if (!irq || irq >= IRQ_MAX)
		return;
	claimed[irq] = true;
	/* Complete an edge at once, so that the next one is seen and the source can be masked. */
	if (!level_triggered[irq])
		complete(irq, this_cpu());
	irq_deliver(irq);
}

error_t irqchip_line(u64 line, bool level, u64 *irq)
{
	if (!line || line > sources)
		return L4_ERR_RANGE;
	*irq = index_nospec(line, sources + 1UL);
	return L4_ERR_OK;
}

void irqchip_mask(u64 irq, const struct irq_source *s, bool masked)
{
	level_triggered[irq] = s->level;
	if (!masked || !claimed[irq])
		set_enabled(irq, s->cpu, !masked);
	if (!masked && claimed[irq])
		complete(irq, s->cpu);
}

/* One that is pending stays so; one that is claimed is completed by the new context. */
error_t irqchip_route(u64 irq, const struct irq_source *s, const struct cpu *to)
{
	if (!to->arch.context)
		return L4_ERR_RANGE;
	if (!enabled[irq])
		return L4_ERR_OK;
	enable(irq, s->cpu, false);
	enable(irq, to, true);
	return L4_ERR_OK;
}

u64 irqchip_msi_first(void) { return 1; }
u64 irqchip_msi_last(void) { return 0; }
void irqchip_msi_pause(bool on) {}
error_t irqchip_msi(u64 irq, const struct cpu *to, u64 *address, u64 *data) { return L4_ERR_MEMORY; }
