// SPDX-License-Identifier: GPL-2.0-only
/* Local APIC (SDM vol. 3, chapter 11), I/O APIC (82093AA) and the masked 8259. */
#include <kernel/debug.h>
#include <kernel/irq.h>
#include <kernel/irqchip.h>
#include <x86.h>

#define LAPIC  0xfee00000UL
#define IOAPIC 0xfec00000UL

enum {
	ID = 0x20,
	TPR = 0x80,
	EOI = 0xb0,
	SVR = 0xf0,
	IRR = 0x200,
	ICR = 0x300,
	ICR_TO = 0x310,
	LVT_TIMER = 0x320,
	LVT_LINT0 = 0x350,
	LVT_LINT1 = 0x360,
	LVT_ERROR = 0x370,
	INITIAL = 0x380,
	CURRENT = 0x390,
	DIVIDE = 0x3e0
};

#define MASKED BIT(16)
#define LEVEL  BIT(15)
#define NMI    0x400

u64 apic_timer_hz;

static u32 lapic_read(u32 reg) { return READ_ONCE(*(u32 *)arch_ptr(LAPIC + reg)); }
static void lapic_write(u32 reg, u32 v) { WRITE_ONCE(*(u32 *)arch_ptr(LAPIC + reg), v); }

#define ICR_BUSY BIT(12)

u32 apic_id(void) { return lapic_read(ID) >> 24; }

/* To another CPU. */
void apic_send(u32 id, u32 what)
{
	while (lapic_read(ICR) & ICR_BUSY)
		arch_relax();
	lapic_write(ICR_TO, id << 24);
	lapic_write(ICR, what);
}

static void ioapic_write(u32 reg, u32 v)
{
	WRITE_ONCE(*(u32 *)arch_ptr(IOAPIC), reg);
	WRITE_ONCE(*(u32 *)arch_ptr(IOAPIC + 0x10), v);
}

static void ioapic_route(u32 line, const struct cpu *to) { ioapic_write(0x10 + 2 * line + 1, to->arch.apic_id << 24); }

static void ioapic_set(u32 line, bool level, bool masked)
{
	ioapic_write(0x10 + 2 * line, (VECTOR_LINE + line) | (level ? LEVEL : 0) | (masked ? MASKED : 0));
}

/* The local APIC of the CPU that runs. */
void apic_init_cpu(void)
{
	wrmsr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | BIT(11));
	lapic_write(TPR, 0);
	lapic_write(LVT_LINT0, MASKED);
	lapic_write(LVT_LINT1, MASKED);
	lapic_write(LVT_ERROR, MASKED);
	lapic_write(DIVIDE, 0xb);             /* by 1 */
	lapic_write(LVT_TIMER, VECTOR_TIMER); /* one-shot */
	lapic_write(SVR, 0x100 | VECTOR_SPURIOUS);
}

void apic_init(void)
{
	/* 8259: move its vectors away from exceptions, mask everything. */
	outb(0x20, 0x11);
	outb(0xa0, 0x11);
	outb(0x21, 0xf0);
	outb(0xa1, 0xf8);
	outb(0x21, 4);
	outb(0xa1, 2);
	outb(0x21, 1);
	outb(0xa1, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);

	apic_init_cpu();
	this_cpu()->arch.apic_id = apic_id();
	/* NMI: the machine's button (QEMU: inject-nmi) makes the kernel show its state and stop. */
	lapic_write(LVT_LINT1, NMI);
	for (u32 line = 0; line < LINES; line++) {
		ioapic_set(line, false, true);
		ioapic_route(line, this_cpu());
	}
}

void apic_eoi(void) { lapic_write(EOI, 0); }

u32 apic_only_ipi(void)
{
	u32 before = lapic_read(TPR);

	lapic_write(TPR, (VECTOR_IPI - 1) & 0xf0);
	return before;
}

void apic_restore(u32 before) { lapic_write(TPR, before); }

/* What the CPU would take now: while it pauses, only what is above the messages' priority. */
bool apic_pending(void)
{
	for (u32 i = this_cpu()->arch.paused ? VECTOR_TIMER / 32 : 1; i < 8; i++)
		if (lapic_read(IRR + 16 * i))
			return true;
	return false;
}

void apic_timer(u64 ticks) { lapic_write(INITIAL, ticks > 0xffffffff ? 0xffffffff : ticks ? ticks : 1); }

#define PM_TIMER     0x608   /* ICH9's, where firmware places it (ACPI 6.5, 4.8.3.3) */
#define PM_HZ        3579545 /* of 24 bits: it comes round in 4.7 s */
#define PM_MASK      0xffffff
#define PM_MEASURE   (PM_HZ / 50)
#define PM_READS_MAX 100000000
#define MOMENT_TRIES 50

/* The three clocks, read one after the other. */
struct clock_moment {
	u64 counter, error; /* ticks: after the reads, and how many they took */
	u32 pm, apic;
};

/* The host may take the CPU away between any two instructions: of several readings, the quickest. */
static struct clock_moment clock_moment(void)
{
	struct clock_moment best = { .error = ~0UL };

	for (u32 n = 0; n < MOMENT_TRIES; n++) {
		u64 before = arch_counter(), after;
		u32 pm = inl(PM_TIMER), apic = lapic_read(CURRENT);

		after = arch_counter();
		if (after - before < best.error)
			best = (struct clock_moment){ after, after - before, pm, apic };
	}
	return best;
}

/*
 * Rates of the counter and of the APIC timer, by 20 ms or more of the PM timer. What the host takes away between the two
 * moments does no harm.
 */
u64 clock_calibrate(void)
{
	struct clock_moment start, end;
	u64 ticks, counter, error;
	u32 reads = 0;

	lapic_write(INITIAL, 0xffffffff);
	start = clock_moment();
	while (((inl(PM_TIMER) - start.pm) & PM_MASK) < PM_MEASURE)
		if (reads++ == PM_READS_MAX)
			panic("the PM timer at port %x does not count", PM_TIMER);
	end = clock_moment();
	lapic_write(INITIAL, 0);
	ticks = (end.pm - start.pm) & PM_MASK;
	counter = end.counter - start.counter;
	error = start.error + end.error;
	if (error > counter >> 6)
		printk("l4: the clock's rate is uncertain: %lu ticks of %lu\n", error, counter);
	apic_timer_hz = (u64)(start.apic - end.apic) * PM_HZ / ticks;
	return counter * PM_HZ / ticks;
}

error_t irqchip_line(u64 line, bool level, u64 *irq)
{
	if (line >= LINES)
		return L4_ERR_RANGE;
	*irq = VECTOR_LINE + index_nospec(line, LINES);
	return L4_ERR_OK;
}

void irqchip_mask(u64 irq, const struct irq_source *s, bool masked) { ioapic_set(s->line, s->level, masked); }

/* The vector is the same on each CPU, so the end of a level on the earlier one still reaches this line. */
error_t irqchip_route(u64 irq, const struct irq_source *s, const struct cpu *to)
{
	ioapic_route(s->line, to);
	return L4_ERR_OK;
}

u64 irqchip_msi_first(void) { return VECTOR_MSI; }
u64 irqchip_msi_last(void) { return VECTOR_MSI_LAST; }

/* SDM vol. 3, 11.8.3.1: the CPU takes no vector whose upper four bits are not above the task priority's. */
void irqchip_msi_pause(bool on)
{
	_Static_assert(VECTOR_TIMER >> 4 > VECTOR_MSI_LAST >> 4, "the timer ends the pause");
	this_cpu()->arch.paused = on;
	lapic_write(TPR, on ? VECTOR_MSI_LAST & 0xf0 : 0);
}

/* SDM vol. 3, 11.11: fixed delivery, edge. */
error_t irqchip_msi(u64 irq, const struct cpu *to, u64 *address, u64 *data)
{
	*address = LAPIC | to->arch.apic_id << 12;
	*data = irq;
	return L4_ERR_OK;
}
