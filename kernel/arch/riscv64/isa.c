// SPDX-License-Identifier: GPL-2.0-only
/*
 * Extensions of the CPU: riscv,isa-extensions, or the older riscv,isa ("rv64imafdc_zba_sstc"), of its node in the
 * device tree (Linux, Documentation/devicetree/bindings/riscv/extensions.yaml).
 */
#include <kernel/debug.h>
#include "riscv.h"

#define LETTER(c) BIT((c) - 'a')

static u64 zicboz;

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* Return the name in riscv,isa at *at, and move *at behind it and its version ("2p1"). NULL at the end. */
static const char *next_name(const char **at, int *length)
{
	const char *p = *at, *name;
	int n = 1;

	while (*p == '_')
		p++;
	if (!*p)
		return NULL;
	name = p;
	if (*p == 'z' || *p == 's' || *p == 'x')
		while (p[n] && p[n] != '_')
			n++;
	*length = n;
	p += n;
	while (is_digit(*p) || (*p == 'p' && is_digit(p[-1]) && is_digit(p[1])))
		p++;
	*at = p;
	return name;
}

static bool equal(const char *a, const char *b, int length)
{
	for (int i = 0; i < length; i++)
		if (a[i] != b[i] || !b[i])
			return false;
	return !b[length];
}

bool isa_has(const char *extension)
{
	const struct fdt *fdt = &machine_fdt;
	const char *isa, *name;
	int size, length;

	isa = fdt_property(fdt, boot_cpu_node, "riscv,isa-extensions", &size);
	if (isa) {
		for (int at = 0, n; at < size; at += n + 1) {
			for (n = 0; at + n < size && isa[at + n]; n++)
				;
			if (at + n < size && equal(isa + at, extension, n))
				return true;
		}
		return false;
	}
	isa = fdt_text(fdt, boot_cpu_node, "riscv,isa");
	if (!isa || memcmp(isa, "rv64", 4))
		return false;
	isa += 4;
	while ((name = next_name(&isa, &length))) {
		if (equal(name, extension, length))
			return true;
		if (*name == 'g' && length == 1 && extension[0] && !extension[1] &&
		    (LETTER(extension[0]) & (LETTER('i') | LETTER('m') | LETTER('a') | LETTER('f') | LETTER('d'))))
			return true;
	}
	return false;
}

/* User mode may read the counters; and may clear cache blocks if firmware lets it. */
void isa_init(void)
{
	if (!isa_has("i"))
		panic("device tree: riscv,isa does not tell a 64-bit CPU");
	if (!isa_has("f") || !isa_has("d"))
		panic("CPU lacks extensions F and D");
	isa_init_cpu();
	if (isa_has("zicboz"))
		zicboz = csr_read(CSR_SENVCFG) & SENVCFG_CBZE;
}

void isa_init_cpu(void)
{
	csr_write(scounteren, 7);
	if (isa_has("zicboz"))
		csr_set(CSR_SENVCFG, SENVCFG_CBZE);
}

/* A CPU without translation, say, has another: user mode must find the same CPU wherever it runs. */
bool isa_is_same(int node)
{
	static const char *const properties[] = { "riscv,isa", "riscv,isa-extensions", "mmu-type" };

	for (u32 i = 0; i < sizeof(properties) / sizeof(*properties); i++) {
		int size, boot_size;
		const void *of = fdt_property(&machine_fdt, node, properties[i], &size);
		const void *of_boot = fdt_property(&machine_fdt, boot_cpu_node, properties[i], &boot_size);

		if (!of != !of_boot || (of && (size != boot_size || memcmp(of, of_boot, size))))
			return false;
	}
	return true;
}

/* Vector and hypervisor extensions are not reported: user mode cannot use them, as sstatus.VS stays off. */
void arch_cpu_id(u64 *id)
{
	static const char letters[] = "imafdcb";
	static const struct {
		const char *name;
		u64 bit;
	} known[] = { { "zba", L4_ISA_ZBA }, { "zbb", L4_ISA_ZBB }, { "zbs", L4_ISA_ZBS } };
	char name[2] = "";

	id[L4_CPU_ID_ISA] = 0;
	for (u32 i = 0; letters[i]; i++) {
		name[0] = letters[i];
		if (isa_has(name))
			id[L4_CPU_ID_ISA] |= LETTER(letters[i]);
	}
	id[L4_CPU_ID_EXTENSIONS] = L4_ISA_ZICNTR | (zicboz ? L4_ISA_ZICBOZ : 0);
	for (u32 i = 0; i < sizeof(known) / sizeof(*known); i++)
		if (isa_has(known[i].name))
			id[L4_CPU_ID_EXTENSIONS] |= known[i].bit;
	id[L4_CPU_ID_VENDOR] = sbi_id(SBI_VENDOR);
	id[L4_CPU_ID_ARCH] = sbi_id(SBI_ARCH);
	id[L4_CPU_ID_IMPLEMENTATION] = sbi_id(SBI_IMPLEMENTATION);
}
