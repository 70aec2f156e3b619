// SPDX-License-Identifier: GPL-2.0-only
/*
 * CPU hardening: what the CPU offers against user mode that attacks L4 or another guest, and what it needs of L4.
 * docs/architecture.md ("CPU hardening") tells what each protects and costs. Bits: SDM vol. 2, CPUID; vol. 4, MSRs;
 * APM vol. 3, appendix E.
 */
#include <kernel/debug.h>
#include "gate.h"
#include "x86.h"

#define CR4_UMIP       BIT(11)
#define CR4_SMEP       BIT(20)
#define CR4_SMAP       BIT(21)
#define EFER_AUTO_IBRS BIT(21)
#define SPEC_CTRL_IBRS BIT(0)
#define PRED_CMD_IBPB  BIT(0)

/* IA32_ARCH_CAPABILITIES. */
#define CAP_RDCL_NO  BIT(0)
#define CAP_IBRS_ALL BIT(1)
/* Not affected by MDS, TAA, SBDR and SSDP, FBSDP, PSDP, RFDS: all that VERW is for. */
#define CAP_NO_VERW (BIT(5) | BIT(8) | BIT(13) | BIT(14) | BIT(15) | BIT(27))

#define LEAF1_HYPERVISOR  BIT(31) /* ECX */
#define LEAF7_SMEP        BIT(7)  /* EBX */
#define LEAF7_SMAP        BIT(20)
#define LEAF7_UMIP        BIT(2)  /* ECX */
#define LEAF7_MD_CLEAR    BIT(10) /* EDX */
#define LEAF7_IBPB        BIT(26)
#define LEAF7_ARCH_CAP    BIT(29)
#define AMD_XSAVE_ERR_PTR BIT(2) /* 0x80000008, EBX */
#define AMD_IBPB          BIT(12)
#define AMD_AUTO_IBRS     BIT(8) /* 0x80000021, EAX */

#define CLAC_BYTES 3
#define VERW_BYTES 8

struct patch_site {
	u64 at, feature;
};

extern const struct patch_site kernel_patch[], kernel_patch_end[];

/* VERW reads a selector, of a segment that can be written (SDM vol. 2; "Microarchitectural data sampling"). */
static const u16 verw_selector = 0x18;
static bool ibpb, allows_above, above_holds;
static enum fpu_way fpu;

/* Write the instructions of a feature where entry.S left room. Text is still writable. */
static void patch(u64 feature)
{
	static const u8 clac[CLAC_BYTES] = { 0x0f, 0x01, 0xca };
	u8 verw[VERW_BYTES] = { 0x0f, 0x00, 0x2c, 0x25 }; /* verw at a sign-extended 32-bit address */
	u32 address = (u64)&verw_selector;

	memcpy(verw + 4, &address, sizeof(address));
	for (const struct patch_site *s = kernel_patch; s < kernel_patch_end; s++)
		if (s->feature == feature)
			memcpy((void *)s->at, feature == PATCH_SMAP ? clac : verw,
			       feature == PATCH_SMAP ? CLAC_BYTES : VERW_BYTES);
}

static bool is_amd(void)
{
	u32 r[4];

	cpuid(0, 0, r);
	return r[1] == 0x68747541 || r[1] == 0x6f677948; /* "Auth"enticAMD, "Hygo"nGenuine */
}

/* LazyFP (CVE-2018-3665) concerns Intel's CPUs. CPUs do not report whether they are affected. */
static bool has_lazy_fp(void) { return !is_amd(); }

/* AMD's CPUs load them only with a pending exception of the x87 (CVE-2006-1056), unless they say otherwise. */
bool harden_fpu_keeps_pointers(void)
{
	u32 r[4];

	cpuid(0x80000008, 0, r);
	return is_amd() && !(r[1] & AMD_XSAVE_ERR_PTR);
}

static bool enable_ibrs(u64 capabilities)
{
	u32 r[4];

	if (capabilities & CAP_IBRS_ALL) {
		wrmsr(MSR_SPEC_CTRL, SPEC_CTRL_IBRS);
		return true;
	}
	cpuid(0x80000000, 0, r);
	if (r[0] < 0x80000021)
		return false;
	cpuid(0x80000021, 0, r);
	if (!(r[0] & AMD_AUTO_IBRS))
		return false;
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_AUTO_IBRS);
	return true;
}

static u64 cr4_bits;

void harden_init_cpu(void)
{
	u32 leaf[4];

	cpuid(7, 0, leaf);
	write_cr4(read_cr4() | cr4_bits);
	enable_ibrs(leaf[3] & LEAF7_ARCH_CAP ? rdmsr(MSR_ARCH_CAPABILITIES) : 0);
}

/*
 * Return why this machine cannot have mode above, or NULL. A process could read its guest kernel by Meltdown
 * (CVE-2017-5754), unless the CPU reports that it is not affected. Hypervisors other than QEMU's emulation are not tried:
 * KVM without VMX or SVM stops the machine where CPL 1 is entered.
 */
static const char *why_not_above(u64 capabilities)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (r[2] & LEAF1_HYPERVISOR) {
		cpuid(0x40000000, 0, r);
		if (r[1] != 0x54474354 || r[2] != 0x43544743 || r[3] != 0x47435447) /* "TCGTCGTCGTCG" */
			return "this hypervisor is not known to run CPL 1";
	}
	return has_lazy_fp() && !(capabilities & CAP_RDCL_NO) ? "this CPU does not rule out Meltdown" : NULL;
}

void harden_init(void)
{
	static const char *const fpu_ways[] = { "lazy", "lazy by OSXSAVE", "eager" };
	u32 leaf[4], amd[4];
	u64 cr4 = read_cr4(), capabilities;
	bool smap, verw, ibrs;
	const char *refused;

	cpuid(7, 0, leaf);
	cpuid(0x80000008, 0, amd);
	capabilities = leaf[3] & LEAF7_ARCH_CAP ? rdmsr(MSR_ARCH_CAPABILITIES) : 0;
	smap = leaf[1] & LEAF7_SMAP;
	cr4 |= (leaf[1] & LEAF7_SMEP ? CR4_SMEP : 0) | (smap ? CR4_SMAP : 0) | (leaf[2] & LEAF7_UMIP ? CR4_UMIP : 0);
	write_cr4(cr4);
	cr4_bits = cr4;
	if (smap)
		patch(PATCH_SMAP);
	verw = leaf[3] & LEAF7_MD_CLEAR && (capabilities & CAP_NO_VERW) != CAP_NO_VERW;
	if (verw)
		patch(PATCH_VERW);
	ibpb = leaf[3] & LEAF7_IBPB || amd[1] & AMD_IBPB;
	ibrs = enable_ibrs(capabilities);
	fpu = has_lazy_fp() ? FPU_EAGER : fpu_find_way();
	printk("l4: hardening: W^X, no indirect branches, SWAPGS fence, FPU %s; CPU: SMEP %s, SMAP %s, UMIP %s, IBRS %s, "
	       "IBPB %s, VERW %s\n",
	       fpu_ways[fpu], cr4 & CR4_SMEP ? "on" : "no", smap ? "on" : "no", cr4 & CR4_UMIP ? "on" : "no",
	       ibrs ? "on" : "no", ibpb ? "on" : "no", verw ? "on" : "no");
	refused = why_not_above(capabilities);
	allows_above = !refused;
	above_holds = allows_above && gate_holds();
	if (refused)
		printk("l4: no guest mode above: %s\n", refused);
	else if (!above_holds)
		printk("l4: guest mode above does not hold: a null SS makes ring 1 ring 0 here, as in QEMU's emulation\n");
}

bool harden_allows_above(void) { return allows_above && !x86_starts_cpus(); }

bool harden_above_holds(void) { return above_holds; }

enum fpu_way harden_fpu(void) { return fpu; }

/* Clear the branch predictors between two guests, where the CPU has IBPB. */
void harden_guest_changed(void)
{
	if (ibpb)
		wrmsr(MSR_PRED_CMD, PRED_CMD_IBPB);
}
