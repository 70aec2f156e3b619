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

static char *priorities, *enables, *context;
static int plic_node;
static u64 registers_size;
static u32 sources; /* highest number */
static u32 enabled[IRQ_MAX / 32];
static bool claimed[IRQ_MAX], level_triggered[IRQ_MAX];

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

static void set_enabled(u64 irq, bool on)
{
	u32 word = on ? enabled[irq / 32] | 1U << irq % 32 : enabled[irq / 32] & ~(1U << irq % 32);

	if (word == enabled[irq / 32])
		return;
	enabled[irq / 32] = word;
	mmio_write32(enables + irq / 32 * 4, word);
	/* QEMU looks for what is pending already when the threshold is written, not the enables. */
	mmio_write32(context, 0);
}

void plic_init(struct boot_machine *m)
{
	static const char *const known[] = { "sifive,plic-1.0.0", "riscv,plic0", "thead,c900-plic", NULL };
	int number;
	u64 pa;
	char *base;

	plic_node = machine_find(known);
	base = machine_registers(plic_node, 0, "interrupt controller (PLIC)", &pa, &registers_size);
	number = find_context(&machine_fdt, plic_node, boot_cpu_node);
	sources = fdt_number(&machine_fdt, plic_node, "riscv,ndev", 0);
	if (number < 0 || !sources || CONTEXT + (number + 1UL) * CONTEXT_SIZE > registers_size)
		panic("device tree: the interrupt controller at %lx does not serve this CPU", pa);
	if (sources >= IRQ_MAX)
		sources = IRQ_MAX - 1;
	priorities = base + PRIORITY;
	enables = base + ENABLE + number * ENABLE_CONTEXT;
	context = base + CONTEXT + (u64)number * CONTEXT_SIZE;
	for (u32 i = 0; i <= sources / 32; i++)
		mmio_write32(enables + 4 * i, 0);
	for (u32 i = 1; i <= sources; i++)
		mmio_write32(priorities + 4 * i, 1);
	mmio_write32(context, 0);
	boot_remove_range(m, align_down(pa, L4_PAGE_SIZE), align_up(pa + registers_size, L4_PAGE_SIZE));
}

/* Another CPU gets no interrupts, whatever firmware left: they go to the boot CPU. */
void plic_init_cpu(int cpu_node)
{
	int number = find_context(&machine_fdt, plic_node, cpu_node);

	if (number < 0 || CONTEXT + (number + 1UL) * CONTEXT_SIZE > registers_size)
		return;
	for (u32 i = 0; i <= sources / 32; i++)
		mmio_write32(priorities + ENABLE + number * ENABLE_CONTEXT + 4 * i, 0);
}

static void complete(u64 irq)
{
	claimed[irq] = false;
	mmio_write32(context + CLAIM, irq);
}

void plic_interrupt(void)
{
	u32 irq = mmio_read32(context + CLAIM);

	if (!irq || irq >= IRQ_MAX)
		return;
	claimed[irq] = true;
	/* Complete an edge at once, so that the next one is seen and the source can be masked. */
	if (!level_triggered[irq])
		complete(irq);
	irq_deliver(irq);
}

error_t irqchip_line(u64 line, bool level, u64 *irq)
{
	if (!line || line > sources)
		return L4_ERR_RANGE;
	*irq = index_nospec(line, sources + 1UL);
	return L4_ERR_OK;
}

void irqchip_mask(u64 irq, u32 line, bool level, bool masked)
{
	level_triggered[irq] = level;
	if (!masked || !claimed[irq])
		set_enabled(irq, !masked);
	if (!masked && claimed[irq])
		complete(irq);
}

u64 irqchip_msi_first(void) { return 1; }
u64 irqchip_msi_last(void) { return 0; }
void irqchip_msi_pause(bool on) {}
error_t irqchip_msi(u64 irq, u64 *address, u64 *data) { return L4_ERR_MEMORY; }
