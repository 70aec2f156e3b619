// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic Interrupt Controller: version 3 by system registers (Arm IHI 0069) or version 2 (IHI 0048). Interrupts of
 * devices go to the booting CPU at first. All have one priority, but what CPUs send each other comes before.
 */
#include <kernel/debug.h>
#include <kernel/irq.h>
#include <kernel/irqchip.h>
#include <devicetree.h>
#include <arm.h>

/* Distributor. */
#define GICD_CTLR       0x0
#define GICD_TYPER      0x4
#define GICD_IGROUPR    0x80
#define GICD_ISENABLER  0x100
#define GICD_ICENABLER  0x180
#define GICD_ICACTIVER  0x380
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR  0x800
#define GICD_ICFGR      0xc00
#define GICD_SGIR       0xf00
#define GICD_IROUTER    0x6000
#define CTLR_ENABLE     1
#define CTLR_V3         0x13 /* affinity routing, group 1 as seen from either security state */
#define CTLR_RWP        BIT(31)

/* Redistributor: two pages of 64 KiB, four where it has virtual LPIs. The second is like a distributor's start. */
#define GICR_TYPER   0x8
#define GICR_WAKER   0x14
#define GICR_SGI     0x10000
#define TYPER_LAST   BIT(4)
#define TYPER_VLPIS  BIT(1)
#define WAKER_SLEEP  BIT(1)
#define WAKER_ASLEEP BIT(2)

/* CPU interface of version 2. */
#define GICC_CTLR 0x0
#define GICC_PMR  0x4
#define GICC_IAR  0xc
#define GICC_EOIR 0x10

/* CPU interface of version 3, which assemblers need not know by name. */
#define ICC_PMR_EL1     S3_0_C4_C6_0
#define ICC_IAR1_EL1    S3_0_C12_C12_0
#define ICC_EOIR1_EL1   S3_0_C12_C12_1
#define ICC_CTLR_EL1    S3_0_C12_C12_4
#define ICC_SRE_EL1     S3_0_C12_C12_5
#define ICC_SGI1R_EL1   S3_0_C12_C11_5
#define ICC_IGRPEN1_EL1 S3_0_C12_C12_7
/* The names above are macros: one more macro level expands them. */
#define read_icc(name)     read_sysreg(name)
#define write_icc(v, name) write_sysreg(v, name)

#define PRIVATE      32 /* interrupts below are the CPU's own */
#define PRIORITIES   0xa0a0a0a0
#define IPI_FIRST    0xa0a0a080 /* of interrupts 0 to 3 */
#define PRIORITY_ALL 0xf0
#define PRIORITY_IPI 0x90
#define TAKEN_MASK   0x1fff /* of GICC_IAR: number and, of a software-generated one, the sender */
#define PATIENCE     1000000

/* Registers; of the first redistributors: each CPU finds its own. */
static char *distributor, *cpu_interface, *redistributors;
static u64 redistributors_size;
static u32 lines;
static int controller;

static void registers(struct boot_machine *m, int index, const char *what, char **at, u64 *size)
{
	u64 pa;

	*at = machine_registers(controller, index, what, &pa, size);
	boot_remove_range(m, align_down(pa, L4_PAGE_SIZE), align_up(pa + *size, L4_PAGE_SIZE));
}

static void wait_for_writes(void)
{
	for (u32 i = 0; i < PATIENCE && mmio_read32(distributor + GICD_CTLR) & CTLR_RWP; i++)
		;
}

/* Affinity of this CPU, as GICR_TYPER has it. */
static u32 affinity(void)
{
	u64 mpidr = read_sysreg(mpidr_el1);

	return (mpidr & 0xffffff) | (mpidr >> 32 & 0xff) << 24;
}

static char *find_redistributor(void)
{
	char *at = redistributors;

	for (;;) {
		u32 low = mmio_read32(at + GICR_TYPER);

		if (mmio_read32(at + GICR_TYPER + 4) == affinity())
			return at;
		at += low & TYPER_VLPIS ? 4 * GICR_SGI : 2 * GICR_SGI;
		if ((low & TYPER_LAST) || at + 2 * GICR_SGI > redistributors + redistributors_size)
			panic("device tree: no GIC redistributor of CPU %lx", this_cpu()->arch.mpidr);
	}
}

static void init_v3_cpu(void)
{
	char *redistributor = find_redistributor();
	u32 waker;

	waker = mmio_read32(redistributor + GICR_WAKER) & ~WAKER_SLEEP;
	mmio_write32(redistributor + GICR_WAKER, waker);
	for (u32 i = 0; i < PATIENCE && mmio_read32(redistributor + GICR_WAKER) & WAKER_ASLEEP; i++)
		;
	mmio_write32(redistributor + GICR_SGI + GICD_IGROUPR, ~0U);
	mmio_write32(redistributor + GICR_SGI + GICD_ICENABLER, ~0U);
	mmio_write32(redistributor + GICR_SGI + GICD_ICACTIVER, ~0U);
	for (u32 id = 0; id < PRIVATE; id += 4)
		mmio_write32(redistributor + GICR_SGI + GICD_IPRIORITYR + id, id ? PRIORITIES : IPI_FIRST);

	write_icc(read_icc(ICC_SRE_EL1) | 1, ICC_SRE_EL1);
	isb();
	write_icc(PRIORITY_ALL, ICC_PMR_EL1);
	write_icc(0, ICC_CTLR_EL1);
	write_icc(1, ICC_IGRPEN1_EL1);
	isb();
}

static void init_v3(struct boot_machine *m)
{
	u64 route = affinity();

	registers(m, 1, "GIC redistributor", &redistributors, &redistributors_size);
	mmio_write32(distributor + GICD_CTLR, CTLR_V3);
	wait_for_writes();
	for (u32 id = PRIVATE; id < lines; id += 32)
		mmio_write32(distributor + GICD_IGROUPR + id / 8, ~0U);
	route = (route & 0xffffff) | route >> 24 << 32;
	for (u32 id = PRIVATE; id < lines; id++)
		WRITE_ONCE(*(u64 *)(distributor + GICD_IROUTER + id * 8), route);
}

/* A CPU's own registers have the same addresses on each. With one CPU the targets read as 0. */
static void init_v2_cpu(void)
{
	u8 me = mmio_read32(distributor + GICD_ITARGETSR);

	this_cpu()->arch.interface = me ? me : 1;
	mmio_write32(distributor + GICD_ICENABLER, ~0U);
	mmio_write32(distributor + GICD_ICACTIVER, ~0U);
	for (u32 id = 0; id < PRIVATE; id += 4)
		mmio_write32(distributor + GICD_IPRIORITYR + id, id ? PRIORITIES : IPI_FIRST);
	mmio_write32(cpu_interface + GICC_PMR, PRIORITY_ALL);
	mmio_write32(cpu_interface + GICC_CTLR, CTLR_ENABLE);
}

static void init_v2(struct boot_machine *m)
{
	u32 me = mmio_read32(distributor + GICD_ITARGETSR) & 0xff;
	u64 size;

	registers(m, 1, "GIC CPU interface", &cpu_interface, &size);
	for (u32 id = PRIVATE; id < lines; id += 4)
		mmio_write32(distributor + GICD_ITARGETSR + id, (me ? me : 1) * 0x01010101U);
	mmio_write32(distributor + GICD_CTLR, CTLR_ENABLE);
}

void gic_init_cpu(void)
{
	if (cpu_interface)
		init_v2_cpu();
	else
		init_v3_cpu();
	gic_enable(GIC_IPI);
}

void gic_init(struct boot_machine *m)
{
	static const char *const v3[] = { "arm,gic-v3", NULL };
	static const char *const v2[] = { "arm,cortex-a15-gic", "arm,gic-400", "arm,cortex-a9-gic", NULL };
	bool is_v3;
	u64 size;

	controller = machine_find(v3);
	is_v3 = controller != FDT_NONE;
	if (!is_v3)
		controller = machine_find(v2);
	registers(m, 0, "interrupt controller (GIC)", &distributor, &size);
	mmio_write32(distributor + GICD_CTLR, 0);
	lines = 32 * ((mmio_read32(distributor + GICD_TYPER) & 31) + 1);
	if (lines > GIC_NONE)
		lines = GIC_NONE;
	for (u32 id = PRIVATE; id < lines; id += 32) {
		mmio_write32(distributor + GICD_ICENABLER + id / 8, ~0U);
		mmio_write32(distributor + GICD_ICACTIVER + id / 8, ~0U);
	}
	for (u32 id = PRIVATE; id < lines; id += 4)
		mmio_write32(distributor + GICD_IPRIORITYR + id, PRIORITIES);
	if (is_v3)
		init_v3(m);
	else
		init_v2(m);
	gic_init_cpu();
}

_Static_assert(!GIC_IPI, "IPI_FIRST");

void gic_only_ipi(bool on)
{
	u32 priority = on ? PRIORITY_IPI : PRIORITY_ALL;

	if (cpu_interface)
		mmio_write32(cpu_interface + GICC_PMR, priority);
	else
		write_icc(priority, ICC_PMR_EL1);
	isb();
}

u32 gic_take(void)
{
	u32 id;

	if (cpu_interface)
		return mmio_read32(cpu_interface + GICC_IAR) & TAKEN_MASK;
	id = read_icc(ICC_IAR1_EL1);
	dsb(sy);
	return id;
}

void gic_end(u32 taken)
{
	if (cpu_interface)
		mmio_write32(cpu_interface + GICC_EOIR, taken);
	else
		write_icc(taken, ICC_EOIR1_EL1);
}

/* What was written before is seen by the CPU that is interrupted. */
void gic_ipi(const struct cpu *cpu)
{
	u64 to = cpu->arch.mpidr;

	dsb(ishst);
	if (cpu_interface) {
		mmio_write32(distributor + GICD_SGIR, cpu->arch.interface << 16 | GIC_IPI);
		return;
	}
	/* Target list of 16 CPUs that differ in affinity 0 only. */
	write_icc((to >> 32 & 0xff) << 48 | (u64)(to >> 4 & 15) << 44 | (to >> 16 & 0xff) << 32 | (u64)GIC_IPI << 24 |
	                  (to >> 8 & 0xff) << 16 | BIT(to & 15),
	          ICC_SGI1R_EL1);
	isb();
}

void gic_enable(u32 id)
{
	char *own = cpu_interface ? distributor : find_redistributor() + GICR_SGI;

	mmio_write32(own + GICD_ISENABLER, 1U << id);
}

/* Bindings of arm,gic and arm,gic-v3: 0 for a shared, 1 for a private interrupt; number; flags. */
u32 gic_interrupt(int node, int index, const char *what)
{
	int parent, cells;
	const void *at;
	u64 kind, number;

	if (fdt_interrupt(&machine_fdt, node, index, &parent, &at, &cells) || parent != controller || cells < 3)
		panic("device tree: no %s", what);
	kind = fdt_cells(at, 1);
	number = fdt_cells((const char *)at + 4, 1);
	if (kind != 1 || number >= 16)
		panic("device tree: %s is none of the CPU's own", what);
	return 16 + number;
}

error_t irqchip_line(u64 line, bool level, u64 *irq)
{
	if (line < PRIVATE || line >= lines || line >= IRQ_MAX)
		return L4_ERR_RANGE;
	*irq = index_nospec(line, IRQ_MAX);
	return L4_ERR_OK;
}

static bool is_enabled(u32 line) { return mmio_read32(distributor + GICD_ISENABLER + line / 32 * 4) & 1U << line % 32; }

static void enable(u32 line) { mmio_write32(distributor + GICD_ISENABLER + line / 32 * 4, 1U << line % 32); }

static void disable(u32 line)
{
	mmio_write32(distributor + GICD_ICENABLER + line / 32 * 4, 1U << line % 32);
	if (!cpu_interface)
		wait_for_writes();
}

/* The trigger is only changed while the interrupt is off. */
void irqchip_mask(u64 irq, const struct irq_source *s, bool masked)
{
	u32 line = s->line, shift = line % 16 * 2 + 1;
	char *config = distributor + GICD_ICFGR + line / 16 * 4;

	if (masked) {
		disable(line);
	} else if (!is_enabled(line)) {
		mmio_write32(config, (mmio_read32(config) & ~(1U << shift)) | (s->level ? 0 : 1U << shift));
		enable(line);
	}
}

/* Off meanwhile, so that it is pending for one CPU at any moment; what is pending stays so. */
error_t irqchip_route(u64 irq, const struct irq_source *s, const struct cpu *to)
{
	bool on = is_enabled(s->line);

	if (on)
		disable(s->line);
	if (cpu_interface)
		mmio_write8(distributor + GICD_ITARGETSR + s->line, to->arch.interface);
	else
		WRITE_ONCE(*(u64 *)(distributor + GICD_IROUTER + s->line * 8), to->arch.mpidr);
	if (on)
		enable(s->line);
	return L4_ERR_OK;
}

/* Messages would need an ITS or a v2m frame: the board's devices use lines. */
u64 irqchip_msi_first(void) { return 1; }
u64 irqchip_msi_last(void) { return 0; }
void irqchip_msi_pause(bool on) {}
error_t irqchip_msi(u64 irq, const struct cpu *to, u64 *address, u64 *data) { return L4_ERR_RANGE; }
