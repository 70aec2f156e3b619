// SPDX-License-Identifier: GPL-2.0-only
/* The local APICs of ACPI's MADT (ACPI 6.5, 5.2.5 to 5.2.8, 5.2.12): the CPUs of a PC. */
#include <kernel/arch.h>
#include <x86.h>

#define TABLE_MAX    0x10000 /* bytes: more is not believed */
#define LOCAL_APIC   0
#define APIC_ENABLED 1

struct header {
	char signature[4];
	u32 length;
	char rest[28];
} __attribute__((packed));

/* A table that lies where L4 has memory mapped, in the first 4 GiB; or NULL. */
static const struct header *table_at(u64 pa)
{
	const struct header *h = arch_ptr(pa);

	if (!pa || pa > BIT(32) - 2 * TABLE_MAX)
		return NULL;
	return h->length >= sizeof(*h) && h->length <= TABLE_MAX ? h : NULL;
}

/* Entries of the XSDT have 8 bytes, those of the RSDT 4. */
static const struct header *find(const struct header *root, u32 bytes, const char *signature)
{
	const char *at = (const char *)(root + 1), *end = (const char *)root + root->length;

	for (; at + bytes <= end; at += bytes) {
		u64 pa = 0;
		const struct header *h;

		memcpy(&pa, at, bytes);
		h = table_at(pa);
		if (h && !memcmp(h->signature, signature, 4))
			return h;
	}
	return NULL;
}

/* APIC numbers of CPUs that firmware has enabled; at most `most`. */
u32 madt_apics(u64 rsdp, u8 *ids, u32 most)
{
	const char *r = arch_ptr(rsdp), *at, *end;
	const struct header *root = NULL, *madt;
	u32 n = 0, rsdt;
	u64 xsdt = 0;

	if (!rsdp || rsdp > BIT(32) - L4_PAGE_SIZE || memcmp(r, "RSD PTR ", 8))
		return 0;
	memcpy(&rsdt, r + 16, sizeof(rsdt));
	if (r[15] >= 2)
		memcpy(&xsdt, r + 24, sizeof(xsdt));
	root = table_at(xsdt ? xsdt : rsdt);
	madt = root ? find(root, xsdt ? 8 : 4, "APIC") : NULL;
	if (!madt)
		return 0;
	at = (const char *)(madt + 1) + 8;
	for (end = (const char *)madt + madt->length; at + 8 <= end && n < most; at += (u8)at[1])
		if ((u8)at[1] < 2)
			break;
		else if (at[0] == LOCAL_APIC && at[4] & APIC_ENABLED)
			ids[n++] = at[3];
	return n;
}
